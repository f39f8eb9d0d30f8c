package flint.runtime;

import java.lang.reflect.GenericArrayType;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.Type;
import java.lang.reflect.TypeVariable;
import java.util.HashMap;
import java.util.Map;

/** What a class says for the type parameters of an interface that it implements, directly or far up. */
final class Generics {
  private Generics() {}

  /** The arguments, or null where the interface is implemented without any. */
  static Type[] of(Class<?> type, Class<?> wanted) {
    return search(type, wanted, new HashMap<TypeVariable<?>, Type>());
  }

  static boolean isOpen(Type type) {
    return type instanceof TypeVariable;
  }

  private static Type[] search(Type from, Class<?> wanted, Map<TypeVariable<?>, Type> known) {
    Class<?> raw;
    if (from instanceof ParameterizedType) {
      ParameterizedType given = (ParameterizedType) from;
      raw = (Class<?>) given.getRawType();
      Type[] arguments = given.getActualTypeArguments();
      TypeVariable<?>[] names = raw.getTypeParameters();
      for (int i = 0; i < names.length; i++) {
        known.put(names[i], resolve(arguments[i], known));
      }
    } else {
      raw = (Class<?>) from;
    }
    if (raw == wanted) {
      if (!(from instanceof ParameterizedType)) {
        return null;
      }
      TypeVariable<?>[] names = raw.getTypeParameters();
      Type[] found = new Type[names.length];
      for (int i = 0; i < names.length; i++) {
        found[i] = known.get(names[i]);
      }
      return found;
    }
    for (Type above : raw.getGenericInterfaces()) {
      Type[] found = search(above, wanted, known);
      if (found != null) {
        return found;
      }
    }
    return raw.getGenericSuperclass() == null ? null : search(raw.getGenericSuperclass(), wanted, known);
  }

  /** A type with the variables in it replaced by what is known of them. */
  private static Type resolve(Type type, Map<TypeVariable<?>, Type> known) {
    if (type instanceof TypeVariable) {
      Type found = known.get(type);
      return found == null ? type : found;
    }
    if (type instanceof ParameterizedType) {
      ParameterizedType given = (ParameterizedType) type;
      Type[] arguments = given.getActualTypeArguments();
      boolean changed = false;
      for (int i = 0; i < arguments.length; i++) {
        Type resolved = resolve(arguments[i], known);
        changed |= resolved != arguments[i];
        arguments[i] = resolved;
      }
      return changed ? new Filled(given, arguments) : type;
    }
    if (type instanceof GenericArrayType) {
      final Type element = resolve(((GenericArrayType) type).getGenericComponentType(), known);
      if (element instanceof Class) {
        return java.lang.reflect.Array.newInstance((Class<?>) element, 0).getClass();
      }
    }
    return type;
  }

  /** `List<T>` where T is known. */
  private static final class Filled implements ParameterizedType {
    private final ParameterizedType given;
    private final Type[] arguments;

    Filled(ParameterizedType given, Type[] arguments) {
      this.given = given;
      this.arguments = arguments;
    }

    @Override
    public Type[] getActualTypeArguments() {
      return arguments.clone();
    }

    @Override
    public Type getRawType() {
      return given.getRawType();
    }

    @Override
    public Type getOwnerType() {
      return given.getOwnerType();
    }
  }
}
