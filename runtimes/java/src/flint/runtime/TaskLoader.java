package flint.runtime;

import java.io.File;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * Loads the function's classes: the package itself, its lib/*.jar, then /opt/java/lib/*.jar of layers. A deployed jar is
 * unpacked as the package.
 *
 * <p>The function and this bootstrap must mean the same `RequestHandler` and `Context`, so AWS's interfaces come from here
 * even if the function brings them along. Of everything else here the function sees nothing: it may bring its own copy of any
 * library, AWS's serialization included.
 */
final class TaskLoader {
  private static final String SHARED = "com.amazonaws.services.lambda.runtime.";

  private TaskLoader() {}

  static ClassLoader of(String root) {
    List<URL> urls = new ArrayList<URL>();
    add(urls, new File(root));
    addJars(urls, new File(root, "lib"));
    addJars(urls, new File("/opt/java/lib"));
    return new URLClassLoader(urls.toArray(new URL[0]), new Gate());
  }

  private static void addJars(List<URL> urls, File folder) {
    String[] names = folder.list();
    if (names == null) {
      return;
    }
    Arrays.sort(names);
    for (String name : names) {
      if (name.endsWith(".jar")) {
        add(urls, new File(folder, name));
      }
    }
  }

  private static void add(List<URL> urls, File file) {
    try {
      urls.add(file.toURI().toURL());
    } catch (MalformedURLException impossible) {
      throw new IllegalStateException(impossible);
    }
  }

  /** The JDK and AWS's interfaces, nothing else. */
  private static final class Gate extends ClassLoader {
    private final ClassLoader ours = Gate.class.getClassLoader();

    Gate() {
      super(ClassLoader.getSystemClassLoader().getParent());
    }

    @Override
    protected Class<?> findClass(String name) throws ClassNotFoundException {
      if (name.startsWith(SHARED) && isShared(name.substring(SHARED.length()))) {
        return ours.loadClass(name);
      }
      throw new ClassNotFoundException(name);
    }

    /** Classes of aws-lambda-java-core: its package itself and `logging`. */
    private static boolean isShared(String rest) {
      return rest.indexOf('.') < 0 || rest.startsWith("logging.");
    }
  }
}
