package flint.runtime;

import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** What went wrong, in the words of Lambda's Java runtime. */
final class Fault extends Exception {
  private static final long serialVersionUID = 1L;
  /** For what has no class of exception: Lambda's name for code that cannot be used. */
  private static final String BAD_CODE = "Runtime.BadFunctionCode";
  private static final int DEEPEST_CAUSE = 16;

  private final String type;

  /** A fault of the platform's telling. */
  Fault(String message) {
    super(message, null, false, false);
    type = BAD_CODE;
  }

  /** A fault that came of an exception, told with other words. */
  Fault(String message, Throwable cause) {
    super(message, null, false, false);
    type = cause.getClass().getName();
    setStack(cause);
  }

  /** The same with a type of its own and the exception as its cause. */
  Fault(String type, String message, Throwable cause) {
    super(message, cause, false, false);
    this.type = type;
  }

  private StackTraceElement[] stack = {};

  private void setStack(Throwable cause) {
    stack = cause.getStackTrace();
  }

  /** Lambda's error document: errorMessage, errorType, stackTrace, and cause where there is one. */
  static Map<String, Object> document(Throwable error) {
    return document(error, Collections.newSetFromMap(new IdentityHashMap<Throwable, Boolean>()));
  }

  private static Map<String, Object> document(Throwable error, Set<Throwable> told) {
    told.add(error);
    Map<String, Object> body = new LinkedHashMap<String, Object>();
    String message = messageOf(error);
    body.put("errorMessage", message == null ? error.getClass().getName() : message);
    body.put("errorType", typeOf(error));
    body.put("stackTrace", trace(error));
    Throwable cause = error.getCause();
    if (cause != null && !told.contains(cause) && told.size() < DEEPEST_CAUSE) {
      body.put("cause", document(cause, told));
    }
    return body;
  }

  static String messageOf(Throwable error) {
    try {
      return error.getLocalizedMessage();
    } catch (Exception thrown) { // the function's own class may do anything
      return null;
    }
  }

  static String typeOf(Throwable error) {
    return error instanceof Fault ? ((Fault) error).type : error.getClass().getName();
  }

  /** The stack down to where the function's code was called; the frames of this bootstrap are left out. */
  private static List<String> trace(Throwable error) {
    StackTraceElement[] all = error instanceof Fault ? ((Fault) error).stack : error.getStackTrace();
    int end = all.length;
    for (int i = 0; i < all.length; i++) {
      if (all[i].getClassName().startsWith("flint.runtime.")) {
        end = i;
        break;
      }
    }
    while (end > 0 && isReflection(all[end - 1].getClassName())) {
      end--;
    }
    List<String> lines = new ArrayList<String>(end);
    for (int i = 0; i < end; i++) {
      lines.add(all[i].toString());
    }
    return lines;
  }

  private static boolean isReflection(String name) {
    return name.startsWith("java.lang.reflect.")
        || name.startsWith("jdk.internal.reflect.")
        || name.startsWith("sun.reflect.")
        || name.startsWith("java.lang.invoke.");
  }

  /** Lambda's text for the log: `message: type`, then the traces as Java prints them. */
  static String text(Map<String, Object> body) {
    StringBuilder text = new StringBuilder();
    text.append(body.get("errorMessage")).append(": ").append(body.get("errorType")).append('\n');
    String lead = "";
    Object next = body;
    while (next instanceof Map) {
      Map<?, ?> one = (Map<?, ?>) next;
      text.append(lead).append(one.get("errorType")).append(": ").append(one.get("errorMessage")).append('\n');
      for (Object line : (List<?>) one.get("stackTrace")) {
        text.append("\tat ").append(line).append('\n');
      }
      lead = "Caused by: ";
      next = one.get("cause");
    }
    return text.toString();
  }
}
