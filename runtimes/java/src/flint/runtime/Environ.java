package flint.runtime;

import java.lang.reflect.AccessibleObject;
import java.lang.reflect.Constructor;
import java.lang.reflect.Field;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.Charset;
import java.util.Arrays;
import java.util.Map;

/**
 * The environment of the process itself, which programs that the function starts and native libraries read. Java has no way
 * to change it, so the C library's `environ` is made to point at a new block, by the JDK's own tools for native memory. Where
 * a JDK has other tools, nothing happens: Java code then sees late variables, and started programs do not, unless the function
 * hands them on.
 */
final class Environ {
  private static final Charset UTF_8 = Charset.forName("UTF-8");

  private Environ() {}

  /** Replaces all variables. */
  static void set(Map<String, String> variables) {
    try {
      long environ = symbol("environ");
      if (environ != 0) {
        new Memory().put(environ, variables);
      }
    } catch (ReflectiveOperationException other) {
      // a JDK with other tools, see above
    } catch (RuntimeException closed) {
      // one that keeps them closed
    }
  }

  /** The address of a symbol of the libraries in use: dlsym with RTLD_DEFAULT, which is 0. */
  private static long symbol(String name) throws ReflectiveOperationException {
    Class<?> loader = find("jdk.internal.loader.NativeLibrary");
    try { // Java 18 and later
      Method method = opened(loader.getDeclaredMethod("findEntry0", long.class, String.class));
      return (Long) method.invoke(null, 0L, name);
    } catch (NoSuchMethodException older) {
      // a library that was not loaded has the handle 0
    } catch (NullPointerException older) {
      // the same
    }
    Class<?> library = find("jdk.internal.loader.NativeLibraries$NativeLibraryImpl");
    if (library != null) { // Java 15 to 17
      Object none = opened(library.getDeclaredConstructors()[0]).newInstance(Environ.class, "none", false, false);
      Class<?> libraries = find("jdk.internal.loader.NativeLibraries");
      return (Long) opened(libraries.getDeclaredMethod("findEntry0", library, String.class)).invoke(null, none, name);
    }
    library = Class.forName("java.lang.ClassLoader$NativeLibrary");
    Constructor<?> maker = opened(library.getDeclaredConstructor(Class.class, String.class, boolean.class));
    Object none = maker.newInstance(Environ.class, "none", false);
    return (Long) opened(library.getDeclaredMethod("find", String.class)).invoke(none, name);
  }

  private static Class<?> find(String name) {
    try {
      return Class.forName(name);
    } catch (ClassNotFoundException missing) {
      return null;
    }
  }

  private static <T extends AccessibleObject> T opened(T member) {
    member.setAccessible(true);
    return member;
  }

  /** Memory outside of the heap. What is allocated is never given back: it is the environment from then on. */
  private static final class Memory {
    private final Object unsafe;
    private final Method allocate;
    private final Method putAddress;
    private final Method putLong;

    Memory() throws ReflectiveOperationException {
      Class<?> type = find("jdk.internal.misc.Unsafe");
      type = type == null ? Class.forName("sun.misc.Unsafe") : type;
      Field only = opened(type.getDeclaredField("theUnsafe"));
      unsafe = only.get(null);
      allocate = type.getMethod("allocateMemory", long.class);
      putAddress = type.getMethod("putAddress", long.class, long.class);
      putLong = type.getMethod("putLong", long.class, long.class);
    }

    /** Writes the block first and the pointer to it last, so that whoever reads meanwhile sees the old or the new one. */
    void put(long environ, Map<String, String> variables) throws ReflectiveOperationException {
      long block = take(8L * (variables.size() + 1));
      long at = block;
      for (Map.Entry<String, String> entry : variables.entrySet()) {
        byte[] text = (entry.getKey() + "=" + entry.getValue()).getBytes(UTF_8);
        // In words, since each call by reflection takes its time; what is over is the 0 at the end.
        int size = (text.length / 8 + 1) * 8;
        ByteBuffer words = ByteBuffer.wrap(Arrays.copyOf(text, size)).order(ByteOrder.nativeOrder());
        long place = take(size);
        for (int i = 0; i < size; i += 8) {
          putLong.invoke(unsafe, place + i, words.getLong(i));
        }
        putAddress.invoke(unsafe, at, place);
        at += 8;
      }
      putAddress.invoke(unsafe, at, 0L);
      putAddress.invoke(unsafe, environ, block);
    }

    private long take(long bytes) throws ReflectiveOperationException {
      return (Long) allocate.invoke(unsafe, bytes);
    }
  }
}
