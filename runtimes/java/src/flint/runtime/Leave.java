package flint.runtime;

/** The end of the process. */
final class Leave {
  private Leave() {}

  /** Ends the process at once, without hooks; what was printed is written. Declared to return so that callers can throw. */
  static Error now(int code) {
    try {
      System.out.flush();
      System.err.flush();
    } finally {
      Runtime.getRuntime().halt(code);
    }
    return new Error("unreachable");
  }

  /** Runs the shutdown hooks for at most `grace` milliseconds, then exits with 0. */
  static Error inOrder(final long grace) {
    Thread watch =
        new Thread("flint-shutdown") {
          @Override
          public void run() {
            try {
              Thread.sleep(grace);
            } catch (InterruptedException woken) {
              // then it is time
            }
            now(0);
          }
        };
    watch.setDaemon(true);
    watch.start();
    System.exit(0);
    return new Error("unreachable");
  }
}
