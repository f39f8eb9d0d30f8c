// The socket to the host: cuts what comes into frames, writes frames.
//
// Reading goes through net.Socket, because the function's timers and sockets must run while a call is open, and a blocking
// read would stop them. Writing is a direct write(2) on the same descriptor: an answer is ready in one piece, and skipping
// the stream machinery saves about a tenth of the round trip. When the socket is full the rest goes through the stream.

const fs = require('fs');
const { SOCKET, DATA, END, HEAD, MAX_FRAME } = require('./protocol');

const SCRATCH = 64 * 1024;
const CHUNK = 1024 * 1024;

/** Most bytes of one frame of a streamed answer: it fills the scratch buffer. */
const PIECE = SCRATCH - HEAD;

const scratch = Buffer.allocUnsafeSlow(SCRATCH);
let socket = null;
let serve = null; // takes a frame: kind, flags, stream, bytes, start, end
let held = []; // received pieces of a frame that is not complete yet
let heldBytes = 0;
let wanted = HEAD;

function putHead(buffer, length, kind, flags, stream) {
  buffer.writeUInt32BE(length, 0);
  buffer[4] = kind;
  buffer[5] = flags;
  buffer[6] = 0;
  buffer[7] = 0;
  buffer.writeUInt32BE(stream, 8);
}

/** Writes bytes now; what the socket does not take is queued in order behind what is queued already. */
function write(buffer, length) {
  let sent = 0;
  if (socket === null || socket.writableLength === 0) {
    try {
      do {
        sent += fs.writeSync(SOCKET, buffer, sent, length - sent);
      } while (sent < length);
      return;
    } catch (error) {
      if (error.code === 'EPIPE' || error.code === 'ECONNRESET') process.exit(0);
      if (error.code !== 'EAGAIN') throw error;
    }
  }
  // the copy is because the scratch buffer is used again before the stream has written it
  socket.write(Buffer.from(buffer.slice(sent, length)));
}

/** Sends one frame whose body is a string. */
function sendText(kind, flags, stream, text) {
  // a UTF-16 unit is at most three bytes of UTF-8
  if (text.length * 3 <= PIECE) {
    const length = scratch.utf8Write(text, HEAD);
    putHead(scratch, length, kind, flags, stream);
    write(scratch, HEAD + length);
    return;
  }
  const length = Buffer.byteLength(text);
  const frame = Buffer.allocUnsafe(HEAD + length);
  putHead(frame, length, kind, flags, stream);
  frame.utf8Write(text, HEAD);
  write(frame, frame.length);
}

/** Sends an answer: one DATA frame with END, or several of at most CHUNK bytes. */
function sendAnswer(stream, text) {
  if (text.length * 3 <= CHUNK) {
    sendText(DATA, END, stream, text);
    return;
  }
  const body = Buffer.from(text);
  for (let at = 0; at < body.length; at += CHUNK) {
    const part = body.slice(at, at + CHUNK);
    const frame = Buffer.allocUnsafe(HEAD + part.length);
    putHead(frame, part.length, DATA, at + CHUNK >= body.length ? END : 0, stream);
    part.copy(frame, HEAD);
    write(frame, frame.length);
  }
}

/** Sends one frame whose body is a part of a buffer, at most PIECE bytes. */
function sendBytes(kind, flags, stream, bytes, from, to) {
  putHead(scratch, to - from, kind, flags, stream);
  bytes.copy(scratch, HEAD, from, to);
  write(scratch, HEAD + to - from);
}

/** Cuts received bytes into frames. The bytes are only valid during the call, so unfinished ones are copied. */
function receive(bytes, count) {
  if (heldBytes > 0) {
    held.push(Buffer.from(bytes.slice(0, count)));
    heldBytes += count;
    if (heldBytes < wanted) return;
    bytes = Buffer.concat(held, heldBytes);
    count = heldBytes;
    held = [];
    heldBytes = 0;
  }
  let at = 0;
  wanted = HEAD;
  while (count - at >= HEAD) {
    const length = bytes.readUInt32BE(at);
    if (length > MAX_FRAME) {
      fs.writeSync(2, 'flint: frame of ' + length + ' bytes is over the limit of ' + MAX_FRAME + '\n');
      process.exit(70);
    }
    if (count - at < HEAD + length) {
      wanted = HEAD + length;
      break;
    }
    const start = at + HEAD;
    at = start + length;
    serve(bytes[start - 8], bytes[start - 7], bytes.readUInt32BE(start - 4), bytes, start, at);
  }
  if (at < count) {
    held = [Buffer.from(bytes.slice(at, count))];
    heldBytes = count - at;
  }
}

/** Opens the socket for reading. From here on the event loop stays alive until `letGo`. */
function open(server) {
  serve = server;
  const net = require('net');
  // one buffer for all reads where node can do that; older ones allocate one for each
  const buffer = Buffer.allocUnsafeSlow(SCRATCH);
  let reused = false;
  const onread = {
    buffer,
    callback: (length) => {
      reused = true;
      receive(buffer, length);
      return true;
    },
  };
  socket = new net.Socket({ fd: SOCKET, readable: true, writable: true, onread });
  socket.on('data', (bytes) => {
    if (!reused) receive(bytes, bytes.length);
  });
  socket.on('error', () => process.exit(0));
  socket.on('close', () => process.exit(0));
  socket.on('end', () => process.exit(0));
  socket.resume();
}

/** The socket keeps the event loop alive again. */
function hold() {
  socket.ref();
}

/** Only the function's own work keeps the event loop alive. */
function letGo() {
  socket.unref();
}

/** Exits once everything queued for the host is in the socket. */
function exitWhenSent(code) {
  if (socket.writableLength === 0) process.exit(code);
  socket.write('', () => process.exit(code));
}

Object.assign(exports, { CHUNK, PIECE, sendText, sendAnswer, sendBytes, open, hold, letGo, exitWhenSent });
