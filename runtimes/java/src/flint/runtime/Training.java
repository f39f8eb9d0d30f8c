package flint.runtime;

import com.amazonaws.services.lambda.runtime.serialization.PojoSerializer;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Runs what a start and a first call run: in a parked process, so that the real ones are quick; and in a process of its own,
 * so that an archive of the loaded classes can be written when the JVM exits, which this class hands out as well.
 */
final class Training {
  /** A bean of the usual kinds of members, for the classes that Jackson needs for beans. */
  public static final class Bean {
    public String text;
    public int number;
    public Double fraction;
    public List<String> list = new ArrayList<String>();
    public Map<String, Object> map = new LinkedHashMap<String, Object>();
    private boolean flag;

    public boolean isFlag() {
      return flag;
    }

    public void setFlag(boolean value) {
      flag = value;
    }
  }

  /** A handler as functions write them. */
  public static final class Sample {
    public Bean handle(Bean bean, com.amazonaws.services.lambda.runtime.Context context) {
      context.getLogger().log("sample " + context.getRemainingTimeInMillis());
      return bean;
    }

    public static Map<String, Object> map(Map<String, Object> event) {
      return event;
    }

    public static String text(String event) {
      return event;
    }
  }

  /** A handler as AWS's interface has it. */
  public static final class Request
      implements com.amazonaws.services.lambda.runtime.RequestHandler<Map<String, Object>, List<Object>> {
    @Override
    public List<Object> handleRequest(Map<String, Object> event, com.amazonaws.services.lambda.runtime.Context context) {
      return new ArrayList<Object>(event.values());
    }
  }

  private Training() {}

  static void run(String[] arguments) throws Throwable {
    if (arguments[0].equals("send")) {
      send(new File(arguments[1]));
      return;
    }
    Class.forName(Frame.class.getName());
    Class.forName(Leave.class.getName());
    new Channel();
    Surroundings.set("FLINT_TRAINING", "1");
    rehearse();
  }

  /** A start and some calls, without anybody seeing: loads and readies what those of a function will need. */
  static void rehearse() throws Throwable {
    PrintStream shown = System.out;
    System.setOut(new PrintStream(new ByteArrayOutputStream(), true, "UTF-8"));
    try {
      Map<String, Object> function = Json.object("{\"handler\":\"x\",\"memory_mb\":128,\"env\":{}}");
      Map<String, Object> header = Json.object("{\"request_id\":\"x\",\"remaining_ms\":3000}");
      Environ.set(System.getenv());
      Log log = new Log(null, null);
      log.install();
      CallContext context = new CallContext(function, header, log, System.nanoTime());
      ClassLoader own = Training.class.getClassLoader();
      String bean = "{\"text\":\"a\",\"number\":1,\"fraction\":0.5,\"list\":[\"b\"],\"map\":{\"c\":[1]},\"flag\":true}";
      call(own, Sample.class.getName() + "::handle", bean, context);
      call(own, Sample.class.getName() + "::map", bean, context);
      call(own, Sample.class.getName() + "::text", "\"text\"", context);
      call(own, Request.class.getName(), bean, context);
      PojoSerializer<Object> numbers = Events.of(Integer.class, null);
      numbers.toJson(numbers.fromJson(new ByteArrayInputStream(new byte[] {'1'})), new Answer());
      try {
        Handlers.find("no.such.Handler", TaskLoader.of("/var/runtime"));
      } catch (Fault expected) {
        log.error(Fault.document(expected));
      }
    } finally {
      System.setOut(shown);
    }
  }

  private static void call(ClassLoader own, String handler, String event, CallContext context) throws Throwable {
    Handlers.find(handler, own).handle(event.getBytes("UTF-8"), 0, new Answer(), context);
  }

  /** Writes a file to the socket, as it is. */
  private static void send(File file) throws IOException, ReflectiveOperationException {
    byte[] buffer = new byte[64 * 1024];
    InputStream from = new FileInputStream(file);
    OutputStream to = new FileOutputStream(Channel.descriptor());
    for (int got = from.read(buffer); got > 0; got = from.read(buffer)) {
      to.write(buffer, 0, got);
    }
    from.close();
  }
}
