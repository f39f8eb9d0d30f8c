package flint.runtime;

import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.util.Locale;
import java.util.Map;
import java.util.TimeZone;

/**
 * The environment of the function where the process was started before the function was known. Java reads its environment
 * once; what comes with INIT is put into the JDK's own table, which System.getenv and started programs read. The manifest
 * opens java.lang for that on Java 9 and later.
 */
final class Surroundings {
  private static Map<Object, Object> table;
  private static Method variable;
  private static Method value;

  private Surroundings() {}

  /** Sets variables, and what the JVM has derived from some of them at its start. */
  static void set(Map<String, Object> env) throws ReflectiveOperationException {
    for (Map.Entry<String, Object> entry : env.entrySet()) {
      set(entry.getKey(), String.valueOf(entry.getValue()));
    }
    Object zone = env.get("TZ");
    if (zone != null) {
      String name = zone.toString().replaceFirst("^:", "");
      TimeZone.setDefault(TimeZone.getTimeZone(name.isEmpty() ? "UTC" : name));
    }
    Object language = env.get("LC_ALL") != null ? env.get("LC_ALL") : env.get("LANG");
    if (language != null) {
      locale(language.toString());
    }
  }

  /** Sets or (with null) removes one variable. */
  static void set(String name, String text) throws ReflectiveOperationException {
    if (table == null) {
      open();
    }
    if (text == null) {
      table.remove(variable.invoke(null, name));
    } else {
      table.put(variable.invoke(null, name), value.invoke(null, text));
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

  private static Method maker(String type) throws ReflectiveOperationException {
    Method made = Class.forName(type).getMethod("valueOf", String.class);
    made.setAccessible(true);
    return made;
  }

  /** `de_DE.UTF-8` is German as in Germany; `C` and `POSIX` are what the JVM makes of them: English. */
  private static void locale(String text) {
    String name = text.replaceFirst("[.@].*$", "");
    if (name.isEmpty() || name.equals("C") || name.equals("POSIX")) {
      return;
    }
    Locale locale = Locale.forLanguageTag(name.replace('_', '-'));
    if (!locale.getLanguage().isEmpty() && !locale.equals(Locale.getDefault())) {
      Locale.setDefault(locale);
    }
  }
}
