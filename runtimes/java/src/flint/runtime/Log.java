package flint.runtime;

import com.amazonaws.services.lambda.runtime.LambdaLogger;
import com.amazonaws.services.lambda.runtime.LambdaRuntime;
import com.amazonaws.services.lambda.runtime.logging.LogLevel;
import java.io.BufferedOutputStream;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.io.UnsupportedEncodingException;
import java.lang.reflect.Field;
import java.nio.charset.Charset;
import java.time.Instant;
import java.time.temporal.ChronoUnit;
import java.util.LinkedHashMap;
import java.util.Map;

/** The function's logger, in Lambda's two forms: text as it is given, or one JSON object a line. */
final class Log implements LambdaLogger {
  private static final Charset UTF_8 = Charset.forName("UTF-8");

  private final boolean json;
  private final LogLevel lowest;
  private String requestId;
  /** Of one call among several; null where calls come one after another. */
  private final CallOutput output;

  /** The log of the call that a thread serves, for loggers outside of a handler. */
  private static final InheritableThreadLocal<Log> CURRENT = new InheritableThreadLocal<Log>();

  Log(String format, String level) {
    output = null;
    json = "JSON".equalsIgnoreCase(format);
    LogLevel asked = LogLevel.UNDEFINED;
    if (level != null) {
      try {
        asked = LogLevel.fromString(level.toUpperCase(java.util.Locale.ROOT));
      } catch (IllegalArgumentException unknown) {
        asked = LogLevel.UNDEFINED;
      }
    }
    lowest = asked;
  }

  private Log(Log as, String request, CallOutput output) {
    json = as.json;
    lowest = as.lowest;
    requestId = request;
    this.output = output;
  }

  /** The same for one call among several. */
  Log of(String request, CallOutput its) {
    return new Log(this, request, its);
  }

  /** What this thread logs without saying for which call is of this one. */
  void enter() {
    CURRENT.set(this);
  }

  static void leave() {
    CURRENT.remove();
  }

  /** Standard output and error as UTF-8, a line at a time: lines survive a kill, and no locale of the host matters. */
  static void open() throws UnsupportedEncodingException {
    System.setOut(stream(FileDescriptor.out));
    System.setErr(stream(FileDescriptor.err));
  }

  private static PrintStream stream(FileDescriptor descriptor) throws UnsupportedEncodingException {
    return new PrintStream(new BufferedOutputStream(new FileOutputStream(descriptor), 8192), true, "UTF-8");
  }

  /** Makes this the logger that `LambdaRuntime.getLogger()` hands out, for loggers outside of a handler (log4j's appender). */
  void install() throws ReflectiveOperationException {
    Field logger = LambdaRuntime.class.getDeclaredField("logger");
    logger.setAccessible(true);
    logger.set(null, this);
  }

  void serves(String request) {
    requestId = request;
  }

  @Override
  public void log(String message) {
    log(message, LogLevel.UNDEFINED);
  }

  @Override
  public void log(byte[] message) {
    write(message == null ? "null" : new String(message, UTF_8));
  }

  @Override
  public void log(String message, LogLevel level) {
    if (level != LogLevel.UNDEFINED && level.ordinal() < lowest.ordinal()) {
      return;
    }
    if (json) {
      Map<String, Object> line = line(level, message);
      write(text(line));
    } else {
      write(level == LogLevel.UNDEFINED ? message : "[" + level + "] " + message);
    }
  }

  @Override
  public void log(byte[] message, LogLevel level) {
    log(message == null ? "null" : new String(message, UTF_8), level);
  }

  /** Tells an error of the function. */
  void error(Map<String, Object> body) {
    if (json) {
      Map<String, Object> line = line(LogLevel.ERROR, body.get("errorMessage"));
      line.putAll(body);
      line.remove("errorMessage");
      write(text(line));
    } else {
      write(Fault.text(body));
    }
  }

  private String request() {
    Log current = output == null ? CURRENT.get() : this;
    return current == null ? requestId : current.requestId;
  }

  private Map<String, Object> line(LogLevel level, Object message) {
    Map<String, Object> line = new LinkedHashMap<String, Object>();
    line.put("timestamp", Instant.now().truncatedTo(ChronoUnit.MILLIS).toString());
    line.put("message", message);
    if (level != LogLevel.UNDEFINED) {
      line.put("level", level);
    }
    String request = request();
    if (request != null) {
      line.put("AWSRequestId", request);
    }
    return line;
  }

  private static String text(Map<String, Object> line) {
    StringBuilder text = new StringBuilder();
    Json.write(text, line);
    return text.toString();
  }

  /** One event of the log is one line at least. */
  private void write(String text) {
    String line = text != null && text.endsWith("\n") ? text : text + "\n";
    if (output == null || !output.print(line)) {
      System.out.print(line);
      System.out.flush();
    }
  }
}
