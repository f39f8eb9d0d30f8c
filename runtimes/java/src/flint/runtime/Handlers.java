package flint.runtime;

import com.amazonaws.services.lambda.runtime.Context;
import com.amazonaws.services.lambda.runtime.RequestHandler;
import com.amazonaws.services.lambda.runtime.RequestStreamHandler;
import com.amazonaws.services.lambda.runtime.serialization.PojoSerializer;
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.lang.reflect.Type;

/** Finds what a handler name means: `pkg.Class`, `pkg.Class::method`. */
final class Handlers {
  private static final String USUAL = "handleRequest";

  private Handlers() {}

  /** Throws Fault for what Lambda's Java runtime has words for, else what the function's own code throws. */
  static Handler find(String name, ClassLoader loader) throws Throwable {
    int colons = name.lastIndexOf("::");
    String className = colons < 0 ? name : name.substring(0, colons);
    String method = colons < 0 ? null : name.substring(colons + 2);
    if (className.isEmpty() || method != null && method.isEmpty()) {
      throw new Fault("Invalid handler: `" + name + "'");
    }
    Class<?> type = load(className, loader);
    boolean usual = method == null || method.equals(USUAL);
    if (usual && RequestStreamHandler.class.isAssignableFrom(type)) {
      return stream((RequestStreamHandler) instance(type));
    }
    if (usual && RequestHandler.class.isAssignableFrom(type)) {
      return request(type, loader);
    }
    if (method == null && !hasMethod(type, USUAL)) {
      throw new Fault("Class " + className + " does not implement an appropriate handler interface");
    }
    return plain(type, method == null ? USUAL : method, loader);
  }

  private static Class<?> load(String name, ClassLoader loader) throws Throwable {
    try {
      return Class.forName(name, true, loader);
    } catch (ClassNotFoundException missing) {
      throw new Fault("Class not found: " + name, missing);
    } catch (ExceptionInInitializerError thrown) {
      throw new Fault(loading(name, thrown.getCause() == null ? thrown : thrown.getCause()), thrown);
    } catch (LinkageError broken) {
      throw new Fault(loading(name, broken), broken);
    }
  }

  private static String loading(String name, Throwable error) {
    String message = Fault.messageOf(error);
    return "Error loading class " + name + (message == null ? "" : ": " + message);
  }

  private static Object instance(Class<?> type) throws Throwable {
    try {
      return type.getConstructor().newInstance();
    } catch (NoSuchMethodException missing) {
      throw new Fault("Class " + type.getName() + " has no public zero-argument constructor");
    } catch (IllegalAccessException hidden) {
      throw new Fault("Class " + type.getName() + " has no public zero-argument constructor");
    } catch (InstantiationException notOne) {
      throw new Fault("Class " + type.getName() + " is abstract and cannot be instantiated");
    } catch (InvocationTargetException thrown) {
      throw thrown.getCause();
    }
  }

  private static Handler stream(final RequestStreamHandler handler) {
    return new Handler() {
      @Override
      public void handle(byte[] event, int from, Answer answer, Context context) throws Throwable {
        handler.handleRequest(new ByteArrayInputStream(event, from, event.length - from), answer, context);
      }
    };
  }

  @SuppressWarnings("unchecked") // the types were read from the class
  private static Handler request(Class<?> type, ClassLoader loader) throws Throwable {
    Type[] declared = Generics.of(type, RequestHandler.class);
    if (declared == null || Generics.isOpen(declared[0]) || Generics.isOpen(declared[1])) {
      throw new Fault("Class " + type.getName() + " does not implement RequestHandler with concrete type parameters");
    }
    final Input input = new Input(declared[0], loader);
    final Output output = new Output(declared[1], loader);
    final RequestHandler<Object, Object> handler = (RequestHandler<Object, Object>) instance(type);
    return new Handler() {
      @Override
      public void handle(byte[] event, int from, Answer answer, Context context) throws Throwable {
        output.write(handler.handleRequest(input.read(event, from), context), answer);
      }
    };
  }

  /** A method of any class; of several with the name the one with most parameters, then one that ends with the context. */
  private static Handler plain(Class<?> type, String name, ClassLoader loader) throws Throwable {
    Method chosen = null;
    try {
      for (Method method : type.getMethods()) {
        if (method.getName().equals(name) && !method.isBridge() && (chosen == null || rank(method) > rank(chosen))) {
          chosen = method;
        }
      }
    } catch (NoClassDefFoundError broken) {
      throw new Fault("Error loading method " + name + " on class " + type.getName(), broken);
    }
    if (chosen == null) {
      throw new Fault("Class " + type.getName() + " has no public method named " + name);
    }
    return new MethodHandler(type, chosen, loader);
  }

  private static boolean hasMethod(Class<?> type, String name) {
    for (Method method : type.getMethods()) {
      if (method.getName().equals(name)) {
        return true;
      }
    }
    return false;
  }

  private static int rank(Method method) {
    Class<?>[] parameters = method.getParameterTypes();
    int count = parameters.length;
    return count * 2 + (count > 0 && parameters[count - 1] == Context.class ? 1 : 0);
  }

  /** Calls a method whose parameters are any of: the event, its bytes, a stream for the answer, the context. */
  private static final class MethodHandler implements Handler {
    private final Method method;
    private final Object target;
    private final Class<?>[] parameters;
    private final Input input;
    private final Output output;

    MethodHandler(Class<?> type, Method method, ClassLoader loader) throws Throwable {
      this.method = method;
      parameters = method.getParameterTypes();
      Type[] declared = method.getGenericParameterTypes();
      boolean streams = false;
      Input read = null;
      for (int i = 0; i < parameters.length; i++) {
        streams |= parameters[i] == OutputStream.class;
        boolean last = i == parameters.length - 1;
        boolean known = parameters[i] == InputStream.class || parameters[i] == OutputStream.class;
        if (known || last && parameters[i] == Context.class) {
          continue;
        }
        if (i > 0) {
          throw new Fault("Method " + method.getName() + " on class " + type.getName() + " has unsupported signature");
        }
        read = new Input(declared[i], loader);
      }
      input = read;
      // A method that writes its answer has none to return.
      output = streams ? null : new Output(method.getGenericReturnType(), loader);
      target = Modifier.isStatic(method.getModifiers()) ? null : instance(type);
      // A public method of a class that is not public itself.
      method.setAccessible(true);
    }

    @Override
    public void handle(byte[] event, int from, Answer answer, Context context) throws Throwable {
      Object[] arguments = new Object[parameters.length];
      for (int i = 0; i < parameters.length; i++) {
        if (parameters[i] == InputStream.class) {
          arguments[i] = new ByteArrayInputStream(event, from, event.length - from);
        } else if (parameters[i] == OutputStream.class) {
          arguments[i] = answer;
        } else if (i == parameters.length - 1 && parameters[i] == Context.class) {
          arguments[i] = context;
        } else {
          arguments[i] = input.read(event, from);
        }
      }
      Object result;
      try {
        result = method.invoke(target, arguments);
      } catch (InvocationTargetException thrown) {
        throw thrown.getCause();
      }
      if (output != null) {
        output.write(result, answer);
      }
    }
  }

  /** Reads events as a declared type. */
  private static final class Input {
    private final PojoSerializer<Object> serializer;

    Input(Type type, ClassLoader loader) throws Fault {
      serializer = type == Void.class ? null : Events.of(type, loader);
    }

    Object read(byte[] event, int from) throws Fault {
      if (serializer == null) {
        return null;
      }
      try {
        return serializer.fromJson(new ByteArrayInputStream(event, from, event.length - from));
      } catch (RuntimeException wrong) {
        throw new Fault(RuntimeException.class.getName(), "An error occurred during JSON parsing", wrong);
      }
    }
  }

  /** Writes results of a declared type. */
  private static final class Output {
    private static final byte[] NULL = {'n', 'u', 'l', 'l'};
    private final PojoSerializer<Object> serializer;

    Output(Type type, ClassLoader loader) throws Fault {
      serializer = type == Void.class || type == void.class ? null : Events.of(type, loader);
    }

    void write(Object value, Answer answer) throws Fault {
      if (serializer == null) {
        answer.write(NULL, 0, NULL.length);
        return;
      }
      try {
        serializer.toJson(value, answer);
      } catch (RuntimeException wrong) {
        throw new Fault(RuntimeException.class.getName(), "An error occurred during JSON serialization of response", wrong);
      }
    }
  }
}
