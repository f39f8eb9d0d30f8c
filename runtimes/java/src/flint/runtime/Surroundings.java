package flint.runtime;

import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.nio.charset.Charset;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.TimeZone;

/**
 * The environment of the function where the process was started before the function was known. Java reads its environment
 * once; what comes with INIT is put into the JDK's own table, which System.getenv reads, and into that of the process
 * (Environ). The manifest opens what that needs on Java 9 and later.
 */
final class Surroundings {
  private static final Charset UTF_8 = Charset.forName("UTF-8");
  /** What Java makes of a byte that its locale does not know. */
  private static final char LOST = '\ufffd';

  private static Map<Object, Object> table;
  private static Constructor<?> variable;
  private static Constructor<?> value;

  private Surroundings() {}

  /** Sets variables, and what the JVM has derived from some of them at its start. */
  static void set(Map<String, Object> env) throws ReflectiveOperationException {
    String before = System.getenv("TZ");
    for (Map.Entry<String, Object> entry : env.entrySet()) {
      set(entry.getKey(), String.valueOf(entry.getValue()));
    }
    Environ.set(System.getenv());
    Object zone = env.get("TZ");
    if (zone != null && !zone.equals(before)) { // the time zones take long to load
      String name = zone.toString().replaceFirst("^:", "");
      TimeZone.setDefault(TimeZone.getTimeZone(name.isEmpty() ? "UTC" : name));
    }
  }

  /** Sets or (with null) removes one variable. As UTF-8, whatever the locale: Java's own way would ask the locale. */
  static void set(String name, String text) throws ReflectiveOperationException {
    if (table == null) {
      open();
    }
    Object key = variable.newInstance(name, name.getBytes(UTF_8));
    if (text == null) {
      table.remove(key);
    } else {
      table.put(key, value.newInstance(text, text.getBytes(UTF_8)));
    }
  }

  /** Reads again, as UTF-8, what the JVM could not read since this host lacks the locale. */
  static void repair() throws ReflectiveOperationException {
    boolean lost = false;
    for (String text : System.getenv().values()) {
      lost |= text.indexOf(LOST) >= 0;
    }
    if (!lost) {
      return;
    }
    open();
    Method bytes = Class.forName("java.lang.ProcessEnvironment$ExternalData").getMethod("getBytes");
    bytes.setAccessible(true);
    Map<String, String> found = new LinkedHashMap<String, String>();
    for (Map.Entry<Object, Object> entry : table.entrySet()) {
      String text = new String((byte[]) bytes.invoke(entry.getValue()), UTF_8);
      found.put(new String((byte[]) bytes.invoke(entry.getKey()), UTF_8), text);
    }
    for (Map.Entry<String, String> entry : found.entrySet()) {
      set(entry.getKey(), entry.getValue());
    }
  }

  @SuppressWarnings("unchecked") // the JDK's own type cannot be named here
  private static void open() throws ReflectiveOperationException {
    Class<?> own = Class.forName("java.lang.ProcessEnvironment");
    Field field = own.getDeclaredField("theEnvironment");
    field.setAccessible(true);
    table = (Map<Object, Object>) field.get(null);
    variable = maker("java.lang.ProcessEnvironment$Variable");
    value = maker("java.lang.ProcessEnvironment$Value");
  }

  private static Constructor<?> maker(String type) throws ReflectiveOperationException {
    Constructor<?> made = Class.forName(type).getDeclaredConstructor(String.class, byte[].class);
    made.setAccessible(true);
    return made;
  }

  /**
   * Sets the locale that the variables name, which the JVM has not found if the host lacks it: `de_DE.UTF-8` is German as in
   * Germany; `C` and `POSIX` are what the JVM makes of them: English.
   */
  static void locale() {
    String all = System.getenv("LC_ALL");
    String text = all != null ? all : System.getenv("LANG");
    String name = text == null ? "" : text.replaceFirst("[.@].*$", "");
    if (name.isEmpty() || name.equals("C") || name.equals("POSIX")) {
      return;
    }
    Locale locale = Locale.forLanguageTag(name.replace('_', '-'));
    if (!locale.getLanguage().isEmpty() && !locale.equals(Locale.getDefault())) {
      Locale.setDefault(locale);
    }
  }
}
