package flint.runtime;

import com.amazonaws.services.lambda.runtime.CustomPojoSerializer;
import com.amazonaws.services.lambda.runtime.serialization.PojoSerializer;
import com.amazonaws.services.lambda.runtime.serialization.events.LambdaEventSerializers;
import com.amazonaws.services.lambda.runtime.serialization.factories.JacksonFactory;
import java.io.InputStream;
import java.io.OutputStream;
import java.lang.reflect.Type;
import java.util.Iterator;
import java.util.ServiceLoader;

/** Turns events into what a handler takes, and what it returns into an answer, by AWS's own serialization. */
final class Events {
  private Events() {}

  /** The serializer of a declared type: the function's own if it brings one, that of an AWS event class, or Jackson's. */
  @SuppressWarnings("unchecked") // a serializer of a type takes and makes objects of that type
  static PojoSerializer<Object> of(Type type, ClassLoader loader) throws Fault {
    PojoSerializer<Object> own = brought(type, loader);
    if (own != null) {
      return own;
    }
    if (type instanceof Class) {
      Class<?> plain = (Class<?>) type;
      // Asked of AWS's names only: the list of events takes a while to load.
      if (plain.getName().startsWith("com.amazonaws.") && LambdaEventSerializers.isLambdaSupportedEvent(plain.getName())) {
        return (PojoSerializer<Object>) LambdaEventSerializers.serializerFor(plain, loader);
      }
      return (PojoSerializer<Object>) JacksonFactory.getInstance().getSerializer(plain);
    }
    return JacksonFactory.getInstance().getSerializer(type);
  }

  private static PojoSerializer<Object> brought(final Type type, ClassLoader loader) throws Fault {
    if (loader == null || loader.getResource("META-INF/services/" + CustomPojoSerializer.class.getName()) == null) {
      return null;
    }
    Iterator<CustomPojoSerializer> found = ServiceLoader.load(CustomPojoSerializer.class, loader).iterator();
    if (!found.hasNext()) {
      return null;
    }
    final CustomPojoSerializer custom = found.next();
    if (found.hasNext()) {
      throw new Fault("Too many serializers provided inside the META-INF/services folder, only one is allowed");
    }
    return new PojoSerializer<Object>() {
      @Override
      public Object fromJson(InputStream input) {
        return custom.fromJson(input, type);
      }

      @Override
      public Object fromJson(String input) {
        return custom.fromJson(input, type);
      }

      @Override
      public void toJson(Object value, OutputStream output) {
        custom.toJson(value, output, type);
      }
    };
  }
}
