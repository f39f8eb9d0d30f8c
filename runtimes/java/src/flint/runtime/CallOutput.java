package flint.runtime;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.UnsupportedEncodingException;
import java.nio.charset.Charset;

/**
 * What one of several calls prints, sent as its own. It belongs to the thread that serves the call and to those that this one
 * starts; after the call's end what they print goes where everything else does.
 */
final class CallOutput {
  private static final Charset UTF_8 = Charset.forName("UTF-8");
  /** What is printed without an end of line is sent when there is so much of it. */
  private static final int MOST = 8192;

  private static final InheritableThreadLocal<CallOutput> CURRENT = new InheritableThreadLocal<CallOutput>();

  private final Channel channel;
  private final int stream;
  private byte[] held = new byte[256];
  private int count;
  private boolean ended;

  CallOutput(Channel channel, int stream) {
    this.channel = channel;
    this.stream = stream;
  }

  /** From here on standard output and error are divided by calls. */
  static void divide() throws UnsupportedEncodingException {
    System.setOut(new PrintStream(new Divided(System.out), true, "UTF-8"));
    System.setErr(new PrintStream(new Divided(System.err), true, "UTF-8"));
  }

  /** What this thread prints is the call's. */
  void enter() {
    CURRENT.set(this);
  }

  static void leave() {
    CURRENT.remove();
  }

  /** The text is the call's, whichever thread says it; false when the call is over. */
  synchronized boolean print(String text) {
    byte[] bytes = text.getBytes(UTF_8);
    return write(bytes, 0, bytes.length) && flush();
  }

  private synchronized boolean write(byte[] bytes, int from, int length) {
    if (ended) {
      return false;
    }
    for (int at = 0; at < length; at += MOST) {
      int part = Math.min(MOST, length - at);
      if (count + part > held.length) {
        byte[] more = new byte[Math.max(2 * held.length, count + part)];
        System.arraycopy(held, 0, more, 0, count);
        held = more;
      }
      System.arraycopy(bytes, from + at, held, count, part);
      count += part;
      if (count >= MOST) {
        flush();
      }
    }
    return true;
  }

  private synchronized boolean flush() {
    if (!ended && count > 0) {
      byte[] text = new byte[count];
      System.arraycopy(held, 0, text, 0, count);
      count = 0;
      channel.send(Frame.LOG, 0, stream, text);
    }
    return !ended;
  }

  /** Sends what is left. */
  synchronized void end() {
    flush();
    ended = true;
  }

  /** Gives what is printed to the call of the thread that prints. */
  private static final class Divided extends OutputStream {
    private final PrintStream usual;

    Divided(PrintStream usual) {
      this.usual = usual;
    }

    @Override
    public void write(int one) throws IOException {
      write(new byte[] {(byte) one}, 0, 1);
    }

    @Override
    public void write(byte[] bytes, int from, int length) {
      CallOutput call = CURRENT.get();
      if (call == null || !call.write(bytes, from, length)) {
        usual.write(bytes, from, length);
      }
    }

    @Override
    public void flush() {
      CallOutput call = CURRENT.get();
      if (call == null || !call.flush()) {
        usual.flush();
      }
    }
  }
}
