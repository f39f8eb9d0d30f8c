package flint.runtime;

/** One frame as it was read. Kinds and flags are those of docs/decisions/004-frame.md. */
final class Frame {
  static final int HELLO = 1;
  static final int INIT = 2;
  static final int READY = 3;
  static final int INVOKE = 4;
  static final int DATA = 5;
  static final int ERROR = 6;
  static final int CANCEL = 7;
  static final int LOG = 9;
  static final int SHUTDOWN = 11;
  /** Flag: the last frame of this direction of the stream. */
  static final int END = 1;
  /** Bytes of length, kind, flags, reserved and stream. */
  static final int HEAD = 12;

  final int kind;
  final int flags;
  final int stream;
  final byte[] body;

  Frame(int kind, int flags, int stream, byte[] body) {
    this.kind = kind;
    this.flags = flags;
    this.stream = stream;
    this.body = body;
  }

  boolean ends() {
    return (flags & END) != 0;
  }
}
