package flint.runtime;

import java.io.ByteArrayOutputStream;

/** What a handler writes: room for the head of a frame in front, the bytes behind it within reach. */
final class Answer extends ByteArrayOutputStream {
  Answer() {
    super(1024);
    clear();
  }

  /** Forgets what was written; keeps the memory unless it is much. */
  void clear() {
    if (buf.length > 64 * 1024) {
      buf = new byte[1024];
    }
    count = Frame.HEAD;
  }

  byte[] buffer() {
    return buf;
  }
}
