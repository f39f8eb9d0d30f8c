package flint.runtime;

import com.amazonaws.services.lambda.runtime.Context;

/** The function: takes the event's bytes, writes the answer's. */
interface Handler {
  /** Throws what the function throws, or a Fault. */
  void handle(byte[] event, int from, Answer answer, Context context) throws Throwable;
}
