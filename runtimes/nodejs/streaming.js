// Answers that are sent while they are made.

const { DATA, STREAM_HEAD } = require('./protocol');
const { PIECE, sendText, sendBytes, hold, letGo } = require('./channel');
const { Fault } = require('./errors');
const { NOTHING } = require('./answers');
const calls = require('./calls');

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
const HTTP_ANSWER = 'application/vnd.awslambda.http-integration-response';

/** The names under which Lambda offers streaming to handlers. */
global.awslambda = {
  streamifyResponse(handler, options) {
    handler[STREAMING] = 'response';
    handler[HIGH_WATER_MARK] = options && options.highWaterMark;
    return handler;
  },
  HttpResponseStream: class HttpResponseStream {
    /** Status, headers and cookies before the first byte. */
    static from(stream, prelude) {
      stream.setContentType(HTTP_ANSWER);
      const text = JSON.stringify(prelude);
      stream._onBeforeFirstWrite = (write) => {
        write(text);
        write(new Uint8Array(8));
      };
      return stream;
    }
  },
};

function streams(handler) {
  return handler[STREAMING] !== undefined;
}

/** The stream that a handler writes its answer to. A host that gave a window gets no more bytes than it has given credit for. */
function answerStream(call, highWaterMark) {
  const { Writable } = require('stream');
  let kind = 'application/octet-stream';
  let begun = false;
  call.credit = call.header.window === undefined ? Infinity : call.header.window;

  /** Says that an answer comes; returns what stands before its first byte. */
  function begin() {
    if (begun) return NOTHING;
    begun = true;
    const lead = [];
    if (typeof stream._onBeforeFirstWrite === 'function') stream._onBeforeFirstWrite((part) => lead.push(Buffer.from(part)));
    if (!call.done) sendText(STREAM_HEAD, 0, call.stream, JSON.stringify({ content_type: kind }));
    return Buffer.concat(lead);
  }

  /** Sends bytes as far as the credit goes, the rest when more is given; then `done`. */
  function push(bytes, done) {
    let at = 0;
    const go = () => {
      while (at < bytes.length && !call.done) {
        const size = Math.min(bytes.length - at, PIECE, call.credit);
        if (size === 0) {
          call.onCredit = go;
          if (call.waiting) hold(); // the host will speak: the event loop is not empty
          return;
        }
        sendBytes(DATA, 0, call.stream, bytes, at, at + size);
        at += size;
        call.credit -= size;
      }
      done();
    };
    go();
  }

  const stream = new Writable({
    highWaterMark: highWaterMark || PIECE,
    write(chunk, encoding, done) {
      const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk;
      const lead = begin();
      push(lead.length > 0 ? Buffer.concat([lead, bytes]) : bytes, done);
    },
    final(done) {
      push(begin(), () => {
        done();
        call.written = true;
        call.finish();
      });
    },
  });
  stream.setContentType = (type) => {
    if (begun) throw new Fault('InvalidStreamingOperation', 'the content type is set before the first write');
    kind = String(type);
  };
  return stream;
}

/** Runs a handler that streams. Its call is over when it has returned and its stream has ended. */
function run(handler, call, context, settle) {
  const stream = answerStream(call, handler[HIGH_WATER_MARK]);
  call.streams = true;
  call.finish = () => {
    if (call.written && call.returned) settle(call, false);
  };
  call.whenIdle = () => {
    // nothing is left that could end it
    call.returned = true;
    if (!stream._writableState.ended) stream.end();
    else call.finish();
  };
  stream.on('error', (error) => settle(call, true, error));
  const returned = () => {
    call.returned = true;
    call.finish();
  };
  const result = handler(JSON.parse(call.text), stream, context);
  if (result && typeof result.then === 'function') result.then(returned, (error) => settle(call, true, error));
  else returned();
}

/** The host takes more bytes of a streamed answer. */
function onCredit(call, bytes) {
  if (call === undefined || call === null || call.done) return;
  call.credit += bytes;
  const go = call.onCredit;
  if (!go) return;
  call.onCredit = null;
  if (call.waiting) letGo();
  calls.within(call, go);
}

Object.assign(exports, { streams, run, onCredit });
