package flint.runtime;

import java.io.IOError;
import java.nio.charset.Charset;
import java.util.LinkedHashMap;
import java.util.Map;

/** Tells the host of errors. */
final class Failures {
  private static final Charset UTF_8 = Charset.forName("UTF-8");
  /** Sent when there is no memory left to make anything better. */
  private static final byte[] NO_MEMORY =
      ("{\"errorMessage\":\"Java heap space\",\"errorType\":\"java.lang.OutOfMemoryError\",\"stackTrace\":[],"
              + "\"flint\":{\"fatal\":true}}")
          .getBytes(UTF_8);

  private Failures() {}

  /** Answers with an error. After one of the virtual machine itself the process is no good any more, as on Lambda. */
  static void tell(Channel channel, Log log, int stream, Throwable error) {
    boolean fatal = error instanceof VirtualMachineError || error instanceof IOError;
    try {
      Map<String, Object> body = Fault.document(error);
      log(log, body);
      if (fatal) {
        Map<String, Object> remark = new LinkedHashMap<String, Object>();
        remark.put("fatal", Boolean.TRUE);
        body.put("flint", remark);
      }
      send(channel, stream, body);
    } catch (OutOfMemoryError again) {
      channel.send(Frame.ERROR, Frame.END, stream, NO_MEMORY);
      fatal = true;
    }
    if (fatal) {
      throw Leave.now(1);
    }
  }

  /** Before there is a log it is printed. */
  static void log(Log log, Map<String, Object> body) {
    if (log == null) {
      System.out.print(Fault.text(body));
    } else {
      log.error(body);
    }
  }

  static void send(Channel channel, int stream, Map<String, Object> body) {
    flush();
    StringBuilder text = new StringBuilder();
    Json.write(text, body);
    channel.send(Frame.ERROR, Frame.END, stream, text.toString().getBytes(UTF_8));
  }

  /** What was printed is with the host. */
  static void flush() {
    System.out.flush();
    System.err.flush();
  }
}
