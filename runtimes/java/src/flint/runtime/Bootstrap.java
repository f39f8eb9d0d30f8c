package flint.runtime;

import com.amazonaws.services.lambda.runtime.Context;
import java.io.ByteArrayOutputStream;
import java.nio.charset.Charset;
import java.util.Map;

/**
 * Runs one Java function for Flint: frames on descriptor 3 in, answers out.
 *
 * <p>The protocol is docs/decisions/004-frame.md; the conventions of the handler, its context, its errors and its log lines
 * are those of AWS Lambda. Started as `java -jar bootstrap.jar` on Java 8 and later, before or after it is known which
 * function it will run: everything about the function comes with INIT.
 *
 * <p>No lambda expressions here, and no library where a few lines do: both cost milliseconds of every start.
 */
public final class Bootstrap {
  private static final Charset UTF_8 = Charset.forName("UTF-8");
  /** Tells that this process is started before its function is known. */
  private static final String GENERIC = "FLINT_START";
  private final Channel channel;
  private final Answer answer = new Answer();
  private Map<String, Object> function;
  private Handler handler;
  private Log log;
  private boolean tracesInEnvironment;
  private int last;

  private Bootstrap(Channel channel) {
    this.channel = channel;
  }

  /** `train` instead of serving: runs the paths of a start, for an archive of classes. */
  public static void main(String[] arguments) throws Throwable {
    Log.open();
    if (arguments.length > 0) {
      Training.run(arguments);
      return;
    }
    Channel channel = new Channel();
    if ("generic".equals(System.getenv(GENERIC))) {
      Training.rehearse(); // nobody waits for this process yet, so the time is free
      Surroundings.set(GENERIC, null);
    }
    String version = System.getProperty("java.version");
    channel.send(Frame.HELLO, 0, 0, bytes("{\"protocol\":1,\"runtime\":\"java" + version + "\"}"));
    Bootstrap bootstrap = new Bootstrap(channel);
    bootstrap.start();
    Object calls = bootstrap.function.get("concurrency");
    if (calls instanceof Number && ((Number) calls).intValue() > 1) {
      new Beside(channel, bootstrap.function, bootstrap.handler, bootstrap.log).serve();
    } else {
      bootstrap.serve();
    }
  }

  /** Waits for INIT, loads the handler, says READY. */
  private void start() throws Throwable {
    Frame frame = channel.next();
    while (frame.kind != Frame.INIT) {
      if (frame.kind == Frame.SHUTDOWN) {
        shutDown(frame);
      } else if (frame.kind == Frame.INVOKE) {
        Failures.send(
            channel, frame.stream, Fault.document(new Fault("the call came before the function was loaded")));
      }
      frame = channel.next();
    }
    try {
      load(frame);
    } catch (Throwable error) {
      Map<String, Object> body = Fault.document(error);
      Failures.log(log, body);
      Failures.send(channel, 0, body);
      throw Leave.now(1);
    }
    Failures.flush();
    channel.send(Frame.READY, 0, 0, new byte[0]);
  }

  @SuppressWarnings("unchecked") // Json makes no other maps
  private void load(Frame init) throws Throwable {
    function = Json.object(new String(init.body, UTF_8));
    Surroundings.repair();
    Object late = function.get("env");
    if (late instanceof Map && !((Map<?, ?>) late).isEmpty()) {
      Surroundings.set((Map<String, Object>) late);
    }
    Surroundings.locale();
    String format = System.getenv("AWS_LAMBDA_LOG_FORMAT");
    log = new Log(format, System.getenv("AWS_LAMBDA_LOG_LEVEL"));
    log.install();
    // The runtimes up to Java 11 have the trace in the environment, the later ones in a property only.
    String runtime = System.getenv("AWS_EXECUTION_ENV");
    tracesInEnvironment = runtime != null && (runtime.contains("_java8") || runtime.endsWith("_java11"));
    Object root = function.get("task_root");
    ClassLoader loader = TaskLoader.of(root == null ? "/var/task" : root.toString());
    Thread.currentThread().setContextClassLoader(loader);
    handler = Handlers.find(String.valueOf(function.get("handler")), loader);
  }

  /** The loop of a live instance. */
  private void serve() throws Throwable {
    while (true) {
      Frame frame = channel.next();
      if (frame.kind == Frame.INVOKE && frame.stream != last) { // a repeated frame is not a second call
        last = frame.stream;
        invoke(frame);
      } else if (frame.kind == Frame.SHUTDOWN) {
        shutDown(frame);
      }
      // CANCEL of a finished call, DATA that nobody waits for, kinds of a later protocol: nothing to do
    }
  }

  private void invoke(Frame call) {
    long began = System.nanoTime();
    try {
      byte[] event = call.body;
      int split = 4 + Channel.int32(event, 0);
      Map<String, Object> header = Json.object(new String(event, 4, split - 4, UTF_8));
      if (!call.ends()) {
        event = collect(call);
      }
      Object request = header.get("request_id");
      log.serves(request == null ? null : request.toString());
      trace(header.get("trace_id"));
      Context context = new CallContext(function, header, log, began);
      answer.clear();
      handler.handle(event, split, answer, context);
      Failures.flush();
      channel.answer(call.stream, answer);
    } catch (Throwable error) {
      Failures.tell(channel, log, call.stream, error);
    }
  }

  /** The whole body of a call that did not fit into its INVOKE frame. */
  private byte[] collect(Frame call) throws Fault {
    ByteArrayOutputStream all = new ByteArrayOutputStream(2 * call.body.length);
    all.write(call.body, 0, call.body.length);
    while (true) {
      Frame frame = channel.next();
      if (frame.kind == Frame.DATA && frame.stream == call.stream) {
        all.write(frame.body, 0, frame.body.length);
        if (frame.ends()) {
          return all.toByteArray();
        }
      } else if (frame.kind == Frame.CANCEL && frame.stream == call.stream) {
        throw new Fault("Runtime.Cancelled", "the caller left before the whole event had arrived", null);
      } else if (frame.kind == Frame.SHUTDOWN) {
        shutDown(frame);
      }
    }
  }

  private void trace(Object id) throws ReflectiveOperationException {
    String property = "com.amazonaws.xray.traceHeader";
    if (id == null) {
      System.clearProperty(property);
    } else {
      System.setProperty(property, id.toString());
    }
    if (tracesInEnvironment) {
      Surroundings.set("_X_AMZN_TRACE_ID", id == null ? null : id.toString());
    }
  }

  static void shutDown(Frame frame) {
    long grace = 500;
    try {
      Object asked = Json.object(new String(frame.body, UTF_8)).get("grace_ms");
      grace = asked instanceof Number ? ((Number) asked).longValue() : grace;
    } catch (IllegalArgumentException wrong) {
      // the usual grace
    }
    throw Leave.inOrder(grace);
  }

  private static byte[] bytes(String text) {
    return text.getBytes(UTF_8);
  }
}
