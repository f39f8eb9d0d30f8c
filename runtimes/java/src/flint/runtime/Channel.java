package flint.runtime;

import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.lang.reflect.Field;

/**
 * The socket on descriptor 3. Reads whole frames, writes answers. Ends the process when the host has gone.
 *
 * <p>Java can neither inherit a descriptor nor open a socket through /proc, so a FileDescriptor is given the number by
 * reflection; the manifest opens java.io for that on Java 9 and later. Children of the function do not get it: the JDK
 * closes all descriptors from 3 on before it starts a program.
 */
final class Channel {
  private static final int SOCKET = 3;
  private static final int LIMIT = 8 * 1024 * 1024;
  private static final int CHUNK = 1024 * 1024;
  /** What the JDK reads and writes through the stack, without allocating memory outside the heap for it. */
  private static final int CHEAP = 8192;

  private final FileInputStream in;
  private final FileOutputStream out;
  private final byte[] buffer = new byte[CHEAP];
  private int from;
  private int to;

  Channel() throws ReflectiveOperationException {
    FileDescriptor socket = descriptor();
    in = new FileInputStream(socket);
    out = new FileOutputStream(socket);
  }

  /** The socket, as Java names descriptors. */
  static FileDescriptor descriptor() throws ReflectiveOperationException {
    FileDescriptor socket = new FileDescriptor();
    Field number = FileDescriptor.class.getDeclaredField("fd");
    number.setAccessible(true);
    number.setInt(socket, SOCKET);
    return socket;
  }

  /** The next frame. */
  Frame next() {
    while (to - from < Frame.HEAD) {
      if (from > 0) {
        System.arraycopy(buffer, from, buffer, 0, to - from);
        to -= from;
        from = 0;
      }
      to += read(buffer, to, buffer.length - to);
    }
    int length = int32(buffer, from);
    if (length < 0 || length > LIMIT) {
      System.err.println("flint: frame of " + (length & 0xffffffffL) + " bytes is over the limit of " + LIMIT);
      Runtime.getRuntime().halt(70);
    }
    int kind = buffer[from + 4];
    int flags = buffer[from + 5];
    int stream = int32(buffer, from + 8);
    from += Frame.HEAD;
    byte[] body = new byte[length];
    int have = Math.min(length, to - from);
    System.arraycopy(buffer, from, body, 0, have);
    from += have;
    while (have < length) {
      have += read(body, have, Math.min(length - have, CHUNK));
    }
    return new Frame(kind, flags, stream, body);
  }

  private int read(byte[] into, int at, int most) {
    try {
      int got = in.read(into, at, most);
      if (got > 0) {
        return got;
      }
    } catch (IOException gone) {
      // the host has closed its end, or died
    }
    throw Leave.now(0);
  }

  /** Writes one frame. */
  void send(int kind, int flags, int stream, byte[] body) {
    byte[] frame = new byte[Frame.HEAD + body.length];
    System.arraycopy(body, 0, frame, Frame.HEAD, body.length);
    write(frame, 0, body.length, kind, flags, stream);
  }

  /** Writes an answer: one DATA frame with END, or several of at most CHUNK bytes. */
  void answer(int stream, Answer answer) {
    byte[] bytes = answer.buffer();
    int length = answer.size() - Frame.HEAD;
    // What was sent already is overwritten by the head of the next frame: nothing is copied.
    for (int at = 0; ; at += CHUNK) {
      boolean last = length - at <= CHUNK;
      write(bytes, at, last ? length - at : CHUNK, Frame.DATA, last ? Frame.END : 0, stream);
      if (last) {
        return;
      }
    }
  }

  /** Writes a frame whose body of `length` bytes begins HEAD bytes behind `at`; whole, whoever else writes. */
  private synchronized void write(byte[] bytes, int at, int length, int kind, int flags, int stream) {
    put32(bytes, at, length);
    bytes[at + 4] = (byte) kind;
    bytes[at + 5] = (byte) flags;
    bytes[at + 6] = 0;
    bytes[at + 7] = 0;
    put32(bytes, at + 8, stream);
    try {
      out.write(bytes, at, Frame.HEAD + length);
    } catch (IOException gone) {
      throw Leave.now(0);
    }
  }

  static int int32(byte[] bytes, int at) {
    return bytes[at] << 24 | (bytes[at + 1] & 255) << 16 | (bytes[at + 2] & 255) << 8 | bytes[at + 3] & 255;
  }

  private static void put32(byte[] bytes, int at, int value) {
    bytes[at] = (byte) (value >>> 24);
    bytes[at + 1] = (byte) (value >>> 16);
    bytes[at + 2] = (byte) (value >>> 8);
    bytes[at + 3] = (byte) value;
  }
}
