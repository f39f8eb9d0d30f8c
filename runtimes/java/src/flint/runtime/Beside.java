package flint.runtime;

import java.io.ByteArrayOutputStream;
import java.nio.charset.Charset;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.SynchronousQueue;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/**
 * Several calls at once in one process: each has a thread, a context and a log of its own. The thread that came first reads
 * frames and gives them to their calls.
 */
final class Beside {
  private static final Charset UTF_8 = Charset.forName("UTF-8");
  private static final long IDLE_SECONDS = 60;

  private final Channel channel;
  private final Map<String, Object> function;
  private final Handler handler;
  private final Log log;
  private final Map<Integer, Call> open = new ConcurrentHashMap<Integer, Call>();
  private final Map<Integer, ByteArrayOutputStream> arriving = new HashMap<Integer, ByteArrayOutputStream>();
  // The host sends no more calls than it was told to; a thread that has nothing to do for a while ends.
  private final ThreadPoolExecutor threads =
      new ThreadPoolExecutor(
          0, Integer.MAX_VALUE, IDLE_SECONDS, TimeUnit.SECONDS, new SynchronousQueue<Runnable>());

  Beside(Channel channel, Map<String, Object> function, Handler handler, Log log) {
    this.channel = channel;
    this.function = function;
    this.handler = handler;
    this.log = log;
  }

  /** The loop of a live instance. */
  void serve() throws Throwable {
    CallOutput.divide();
    int last = 0;
    while (true) {
      Frame frame = channel.next();
      if (frame.kind == Frame.INVOKE && frame.stream != last) { // a repeated frame is not a second call
        last = frame.stream;
        arrive(frame, new ByteArrayOutputStream(0));
      } else if (frame.kind == Frame.DATA && arriving.containsKey(frame.stream)) {
        arrive(frame, arriving.remove(frame.stream));
      } else if (frame.kind == Frame.CANCEL) {
        cancel(frame.stream);
      } else if (frame.kind == Frame.SHUTDOWN) {
        Bootstrap.shutDown(frame);
      }
    }
  }

  private void arrive(Frame frame, ByteArrayOutputStream before) {
    if (!frame.ends()) {
      before.write(frame.body, 0, frame.body.length);
      arriving.put(frame.stream, before);
      return;
    }
    byte[] event = frame.body;
    if (before.size() > 0) {
      before.write(frame.body, 0, frame.body.length);
      event = before.toByteArray();
    }
    Call call = new Call(frame.stream, event);
    open.put(frame.stream, call);
    try {
      threads.execute(call);
    } catch (Throwable error) { // no thread can be had
      open.remove(frame.stream);
      Failures.tell(channel, log, frame.stream, error);
    }
  }

  private void cancel(int stream) {
    Call call = open.get(stream);
    if (call != null) {
      call.cancel();
    } else if (arriving.remove(stream) != null) {
      Fault left = new Fault("Runtime.Cancelled", "the caller left before the whole event had arrived", null);
      Failures.tell(channel, log, stream, left);
    }
  }

  /** One call, from its event to its answer. */
  private final class Call implements Runnable {
    private final int stream;
    private final byte[] event;
    private final long began = System.nanoTime();
    private Thread thread;
    private boolean over;

    Call(int stream, byte[] event) {
      this.stream = stream;
      this.event = event;
    }

    @Override
    public void run() {
      synchronized (this) {
        if (over) {
          return;
        }
        thread = Thread.currentThread();
      }
      CallOutput output = new CallOutput(channel, stream);
      output.enter();
      Log own = log;
      try {
        int split = 4 + Channel.int32(event, 0);
        Map<String, Object> header = Json.object(new String(event, 4, split - 4, UTF_8));
        Object request = header.get("request_id");
        own = log.of(request == null ? null : request.toString(), output);
        own.enter();
        Answer answer = new Answer();
        handler.handle(event, split, answer, new CallContext(function, header, own, began));
        output.end();
        if (end()) {
          channel.answer(stream, answer);
        }
      } catch (Throwable error) {
        if (end()) {
          Failures.tell(channel, own, stream, error);
        }
        output.end();
      } finally {
        Log.leave();
        CallOutput.leave();
        open.remove(stream);
      }
    }

    /** The call has its end; false when its time was up before. The thread belongs to the next call from here on. */
    private synchronized boolean end() {
      boolean first = !over;
      over = true;
      thread = null;
      Thread.interrupted();
      return first;
    }

    /** Its time is up: nobody waits for its answer. Its thread is told in the way that Java has for that. */
    synchronized void cancel() {
      if (!over) {
        over = true;
        if (thread != null) {
          thread.interrupt();
          thread = null;
        }
      }
    }
  }
}
