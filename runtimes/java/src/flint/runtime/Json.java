package flint.runtime;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The JSON of the protocol: what the host says about the function and the call, and error documents. Events and answers go
 * through AWS's serialization instead; this small reader is here because that one takes long to load.
 */
final class Json {
  private final String text;
  private int at;

  private Json(String text) {
    this.text = text;
  }

  /** The object in a text. Throws IllegalArgumentException for anything else. */
  static Map<String, Object> object(String text) {
    Json json = new Json(text);
    json.space();
    Map<String, Object> value = json.members();
    json.space();
    if (json.at != text.length()) {
      throw json.wrong();
    }
    return value;
  }

  private IllegalArgumentException wrong() {
    return new IllegalArgumentException("unexpected text at character " + at);
  }

  private void space() {
    while (at < text.length() && text.charAt(at) <= ' ') {
      at++;
    }
  }

  private boolean take(char wanted) {
    space();
    if (at < text.length() && text.charAt(at) == wanted) {
      at++;
      return true;
    }
    return false;
  }

  private void need(char wanted) {
    if (!take(wanted)) {
      throw wrong();
    }
  }

  private Object value() {
    space();
    if (at == text.length()) {
      throw wrong();
    }
    switch (text.charAt(at)) {
      case '{':
        return members();
      case '[':
        return elements();
      case '"':
        return string();
      case 't':
        return word("true", Boolean.TRUE);
      case 'f':
        return word("false", Boolean.FALSE);
      case 'n':
        return word("null", null);
      default:
        return number();
    }
  }

  private Object word(String word, Object meaning) {
    if (!text.startsWith(word, at)) {
      throw wrong();
    }
    at += word.length();
    return meaning;
  }

  private Map<String, Object> members() {
    Map<String, Object> found = new LinkedHashMap<String, Object>();
    need('{');
    if (take('}')) {
      return found;
    }
    do {
      space();
      String name = string();
      need(':');
      found.put(name, value());
    } while (take(','));
    need('}');
    return found;
  }

  private List<Object> elements() {
    List<Object> found = new ArrayList<Object>();
    need('[');
    if (take(']')) {
      return found;
    }
    do {
      found.add(value());
    } while (take(','));
    need(']');
    return found;
  }

  private Object number() {
    int start = at;
    while (at < text.length() && "+-.eE0123456789".indexOf(text.charAt(at)) >= 0) {
      at++;
    }
    String digits = text.substring(start, at);
    try {
      return Long.valueOf(digits);
    } catch (NumberFormatException notWhole) {
      try {
        return Double.valueOf(digits);
      } catch (NumberFormatException notOne) {
        throw wrong();
      }
    }
  }

  private String string() {
    need('"');
    int start = at;
    StringBuilder built = null;
    while (at < text.length()) {
      char c = text.charAt(at++);
      if (c == '"') {
        String tail = text.substring(start, at - 1);
        return built == null ? tail : built.append(tail).toString();
      }
      if (c == '\\') {
        built = built == null ? new StringBuilder() : built;
        built.append(text, start, at - 1);
        built.append(escaped());
        start = at;
      }
    }
    throw wrong();
  }

  private char escaped() {
    if (at == text.length()) {
      throw wrong();
    }
    char c = text.charAt(at++);
    switch (c) {
      case 'n':
        return '\n';
      case 't':
        return '\t';
      case 'r':
        return '\r';
      case 'b':
        return '\b';
      case 'f':
        return '\f';
      case 'u':
        if (at + 4 > text.length()) {
          throw wrong();
        }
        at += 4;
        try {
          return (char) Integer.parseInt(text.substring(at - 4, at), 16);
        } catch (NumberFormatException notHexadecimal) {
          throw wrong();
        }
      default:
        return c;
    }
  }

  /** Appends a value made of maps, lists, texts, numbers and booleans. */
  static void write(StringBuilder to, Object value) {
    if (value instanceof Map) {
      char between = '{';
      for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
        to.append(between);
        quote(to, String.valueOf(entry.getKey()));
        to.append(':');
        write(to, entry.getValue());
        between = ',';
      }
      to.append(between == '{' ? "{}" : "}");
    } else if (value instanceof Iterable) {
      char between = '[';
      for (Object element : (Iterable<?>) value) {
        to.append(between);
        write(to, element);
        between = ',';
      }
      to.append(between == '[' ? "[]" : "]");
    } else if (value == null || value instanceof Number || value instanceof Boolean) {
      to.append(value);
    } else {
      quote(to, value.toString());
    }
  }

  private static void quote(StringBuilder to, String text) {
    to.append('"');
    for (int i = 0; i < text.length(); i++) {
      char c = text.charAt(i);
      if (c == '"' || c == '\\') {
        to.append('\\').append(c);
      } else if (c == '\n') {
        to.append("\\n");
      } else if (c == '\t') {
        to.append("\\t");
      } else if (c < ' ' || c >= '\ud800' && c < '\ue000') {
        String digits = Integer.toHexString(c);
        to.append("\\u").append("0000", 0, 4 - digits.length()).append(digits);
      } else {
        to.append(c);
      }
    }
    to.append('"');
  }
}
