'use strict';
// Runs one Node.js function for Flint: frames on descriptor 3 in, answers out.
//
// The protocol is docs/decisions/004-frame.md; the conventions of the handler, its context, its errors and its log lines are
// AWS Lambda's. Start it as `node bootstrap.js` with a Unix stream socket on descriptor 3 and the log pipe on 1 and 2; node
// itself marks descriptor 3 close-on-exec. One file, standard library only, Node.js 10 and later.
//
// Reading goes through net.Socket, because the function's timers and sockets must run while a call is open, and a blocking
// read would stop them. Writing is a direct write(2) on the same descriptor: an answer is ready in one piece, and skipping
// the stream machinery saves about a tenth of the round trip. When the socket is full the rest goes through the stream.

const fs = require('fs');

const SOCKET = 3;
const HELLO = 1, INIT = 2, READY = 3, INVOKE = 4, DATA = 5, ERROR = 6, CANCEL = 7, SHUTDOWN = 11;
const CREDIT = 8, LOG = 9, STREAM_HEAD = 10;
const END = 1;
const MAX_FRAME = 8 * 1024 * 1024;
const CHUNK = 1024 * 1024;
const HEAD = 12;
const PIECE = 64 * 1024 - HEAD; // of a streamed answer: a frame fills the scratch buffer
const NEWEST_WITHOUT_MODULES = 12;

// ---------------------------------------------------------------- frames

const scratch = Buffer.allocUnsafeSlow(64 * 1024);
let socket = null;
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
  if (text.length * 3 <= scratch.length - HEAD) {
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
function receive(bytes) {
  if (heldBytes > 0) {
    held.push(Buffer.from(bytes));
    heldBytes += bytes.length;
    if (heldBytes < wanted) return;
    bytes = Buffer.concat(held, heldBytes);
    held = [];
    heldBytes = 0;
  }
  let at = 0;
  wanted = HEAD;
  while (bytes.length - at >= HEAD) {
    const length = bytes.readUInt32BE(at);
    if (length > MAX_FRAME) {
      fs.writeSync(2, 'flint: frame of ' + length + ' bytes is over the limit of ' + MAX_FRAME + '\n');
      process.exit(70);
    }
    if (bytes.length - at < HEAD + length) {
      wanted = HEAD + length;
      break;
    }
    const start = at + HEAD;
    at = start + length;
    dispatch(bytes[start - 8], bytes[start - 7], bytes.readUInt32BE(start - 4), bytes, start, at);
  }
  if (at < bytes.length) {
    held = [Buffer.from(bytes.slice(at))];
    heldBytes = bytes.length - at;
  }
}

/** Opens the socket for reading. From here on the event loop stays alive until the socket is unreferenced. */
function open() {
  const net = require('net');
  // one buffer for all reads where node can do that; older ones allocate one for each
  const buffer = Buffer.allocUnsafeSlow(64 * 1024);
  const onread = {
    buffer,
    callback: (length) => {
      reused = true;
      receive(buffer.slice(0, length));
      return true;
    },
  };
  let reused = false;
  socket = new net.Socket({ fd: SOCKET, readable: true, writable: true, onread });
  socket.on('data', (bytes) => {
    if (!reused) receive(bytes);
  });
  socket.on('error', () => process.exit(0));
  socket.on('close', () => process.exit(0));
  socket.on('end', () => process.exit(0));
  socket.resume();
}

// ---------------------------------------------------------------- errors

/** The errors of the platform, `Runtime.…`. */
class Fault extends Error {
  constructor(kind, message, cause) {
    super(message);
    this.name = 'Runtime.' + kind;
    // the place in the user's file that caused it is worth more than the place in this file that noticed
    const from = cause && typeof cause.stack === 'string' ? cause.stack : this.stack;
    const lines = from.split('\n').filter((line) => /^ {4}at /.test(line));
    this.stack = [this.name + ': ' + message].concat(lines).join('\n');
  }
}

/** The stack as lines, without the frames of this file. */
function traceOf(stack) {
  return stack.split('\n').filter((line) => line.indexOf(__filename) < 0 || !/^ {4}at /.test(line));
}

function isError(value) {
  return (
    value instanceof Error ||
    (value && typeof value.name === 'string' && typeof value.message === 'string' && typeof value.stack === 'string')
  );
}

/** The body of an ERROR frame. */
function describe(error) {
  try {
    if (isError(error)) {
      const trace = typeof error.stack === 'string' ? traceOf(error.stack) : [];
      return { errorType: String(error.name), errorMessage: String(error.message), trace };
    }
    return { errorType: typeof error, errorMessage: String(error), trace: [] };
  } catch (_) {
    return {
      errorType: 'handled',
      errorMessage:
        'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack',
    };
  }
}

function sendError(stream, error, fatal) {
  const body = describe(error);
  if (fatal) body.flint = { fatal: true };
  sendText(ERROR, END, stream, JSON.stringify(body));
}

// ---------------------------------------------------------------- log

let requestId; // undefined until the first call, as in Lambda's log lines
let util = null;
let jsonLogs = false;

/** The call that the code under way belongs to; only where calls run beside each other. */
let storage = null;

function ownCall() {
  const call = storage === null ? undefined : storage.getStore();
  return call === undefined || call.done ? undefined : call;
}

/** Writes to the log: of the call, where calls run beside each other, else to the pipe. */
function writeLog(text) {
  const call = ownCall();
  if (call === undefined) writeOut(1, text);
  else sendText(LOG, 0, call.stream, text.length > CHUNK ? text.slice(0, CHUNK) : text);
}

function currentId() {
  const call = storage === null ? undefined : storage.getStore();
  return call === undefined ? requestId : call.header.request_id;
}

/** Writes all of a text to a descriptor before it returns, whether the pipe is blocking or not. */
function writeOut(fd, text) {
  let bytes = Buffer.from(text);
  while (bytes.length > 0) {
    try {
      bytes = bytes.slice(fs.writeSync(fd, bytes));
    } catch (error) {
      if (error.code !== 'EAGAIN') return; // nobody reads the log: not a reason to fail the function
    }
  }
}

/** Lambda's JSON form: one object a line. */
function jsonLine(level, values) {
  const line = { timestamp: new Date().toISOString(), level, requestId: currentId(), message: values[0] };
  const plain = (_key, value) =>
    value instanceof Error
      ? Object.assign({ errorType: value.constructor.name, errorMessage: value.message, stackTrace: traceOf(String(value.stack)) }, value)
      : value;
  if (values.length !== 1) {
    line.message = util.format.apply(util, values);
    const error = values.find((value) => value instanceof Error);
    if (error) Object.assign(line, plain('', error));
  }
  try {
    return JSON.stringify(line, plain);
  } catch (_) {
    line.message = util.format.apply(util, values);
    return JSON.stringify(line);
  }
}

function logLine(level, values) {
  util = util || require('util');
  if (jsonLogs) {
    writeLog(jsonLine(level, values) + '\n');
    return;
  }
  const text = values.length === 1 && typeof values[0] === 'string' ? values[0] : util.format.apply(util, values);
  writeLog(new Date().toISOString() + '\t' + currentId() + '\t' + level + '\t' + text + '\n');
}

function logError(title, error) {
  const plain = (_key, value) => {
    if (!(value instanceof Error)) return value;
    const fields = { errorType: value.name, errorMessage: value.message, code: value.code };
    Object.assign(fields, value);
    if (typeof value.stack === 'string') fields.stack = traceOf(value.stack);
    return fields;
  };
  const value = isError(error) ? error : new Error(error);
  if (jsonLogs) {
    logLine('ERROR', [value]);
    return;
  }
  let text;
  try {
    text = JSON.stringify(value, plain);
  } catch (_) {
    text = JSON.stringify(describe(value));
  }
  logLine('ERROR', [title + ' \t' + text]);
}

function patchConsole() {
  jsonLogs = String(process.env.AWS_LAMBDA_LOG_FORMAT).toUpperCase() === 'JSON';
  const names = ['TRACE', 'DEBUG', 'INFO', 'WARN', 'ERROR', 'FATAL'];
  const lowest = Math.max(0, names.indexOf(String(process.env.AWS_LAMBDA_LOG_LEVEL).toUpperCase()));
  names.forEach((name, at) => {
    console[name.toLowerCase()] = at < lowest ? () => {} : (...values) => logLine(name, values);
  });
  console.log = console.info;
}

/** Output by process.stdout and process.stderr is written at once too, so that an exit or a kill loses none of it. */
function blockOutput(name) {
  const usual = Object.getOwnPropertyDescriptor(process, name);
  if (!usual || !usual.get || !usual.configurable) return;
  Object.defineProperty(process, name, {
    configurable: true,
    enumerable: usual.enumerable,
    get() {
      const stream = usual.get.call(process);
      if (stream._handle && stream._handle.setBlocking) stream._handle.setBlocking(true);
      Object.defineProperty(process, name, usual);
      return stream;
    },
  });
}

// ---------------------------------------------------------------- start

let fn = null; // what INIT said about the function
let handler = null;
let early = []; // calls that came before the handler was ready
let exiting = false;

/** Several calls at once: what each prints is its own, also past the console. */
function manyCalls() {
  const { AsyncLocalStorage } = require('async_hooks');
  if (AsyncLocalStorage === undefined) {
    throw new Fault('Concurrency', 'several calls at once need Node.js 12.17 or later, this is ' + process.version);
  }
  storage = new AsyncLocalStorage();
  ['stdout', 'stderr'].forEach((name) => {
    const stream = process[name];
    const usual = stream.write;
    stream.write = function write(chunk, encoding, done) {
      if (ownCall() === undefined) return usual.call(stream, chunk, encoding, done);
      writeLog(typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString());
      const after = typeof encoding === 'function' ? encoding : done;
      if (typeof after === 'function') process.nextTick(after);
      return true;
    };
  });
}

/** Finds the file of a handler and loads it: `.js`, `.cjs`, `.mjs`, or a package, in Lambda's order. */
async function loadModule(root, folder, name) {
  const path = require('path');
  const file = path.resolve(root, folder, name);
  if (fs.existsSync(file) && fs.statSync(file).isFile()) return require(file);
  const module = fs.existsSync(file + '.js') && isModuleScope(path, path.dirname(file));
  if (module) return importModule(file + '.js');
  if (fs.existsSync(file + '.js')) return require(file + '.js');
  if (fs.existsSync(file + '.mjs')) return importModule(file + '.mjs');
  if (fs.existsSync(file + '.cjs')) return require(file + '.cjs');
  if (fs.existsSync(file)) return require(file); // a folder with an index.js or a package.json
  return require(require.resolve(name, { paths: [root, path.resolve(root, folder)] }));
}

/** Whether the nearest package.json says `"type": "module"`. */
function isModuleScope(path, start) {
  for (let folder = start; ; folder = path.dirname(folder)) {
    if (path.basename(folder) === 'node_modules') return false;
    try {
      return JSON.parse(fs.readFileSync(path.join(folder, 'package.json'), 'utf8')).type === 'module';
    } catch (error) {
      if (error.code !== 'ENOENT') return false;
    }
    if (folder === path.dirname(folder)) return false;
  }
}

function importModule(file) {
  if (parseInt(process.versions.node, 10) < NEWEST_WITHOUT_MODULES) {
    throw new Fault(
      'ImportModuleError',
      "Error: ES modules need Node.js 12 or later, this is " + process.version + ": '" + file + "'"
    );
  }
  return import(require('url').pathToFileURL(file).href);
}

/** The function that a handler name (`file.export`, `folder/file.outer.inner`) means. Throws Fault. */
async function load(root, name) {
  if (name.indexOf('..') >= 0) {
    throw new Fault(
      'MalformedHandlerName',
      "'" + name + "' is not a valid handler name. Use absolute paths when specifying root directories in handler names."
    );
  }
  const cut = name.lastIndexOf('/') + 1;
  const parts = name.slice(cut).match(/^([^.]*)\.(.*)$/);
  if (!parts) throw new Fault('MalformedHandlerName', 'Bad handler');
  let found;
  try {
    found = await loadModule(root, name.slice(0, cut), parts[1]);
  } catch (error) {
    if (error instanceof Fault) throw error;
    if (error instanceof SyntaxError) throw new Fault('UserCodeSyntaxError', String(error), error);
    if (error && (error.code === 'MODULE_NOT_FOUND' || error.code === 'ERR_MODULE_NOT_FOUND')) {
      throw new Fault('ImportModuleError', String(error), error);
    }
    throw error;
  }
  const value = parts[2].split('.').reduce((outer, key) => outer && outer[key], found);
  if (!value) throw new Fault('HandlerNotFound', name + ' is undefined or not exported');
  if (typeof value !== 'function') throw new Fault('HandlerNotFound', name + ' is not a function');
  return value;
}

function initialise(init) {
  // Only what differs: the mere assignment of TZ costs 15 ms.
  Object.keys(init.env || {}).forEach((name) => {
    if (process.env[name] !== init.env[name]) process.env[name] = init.env[name];
  });
  fn = init;
  fn.memory_text = String(init.memory_mb || process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE || '');
  patchConsole();
  blockOutput('stdout');
  blockOutput('stderr');
  const root = init.task_root || process.env.LAMBDA_TASK_ROOT || '/var/task';
  try {
    process.chdir(root);
  } catch (_) {
    // loading says what is wrong in the words users know
  }
  if (fs.existsSync('/opt/nodejs') || (init.env && init.env.NODE_PATH)) {
    // node has read NODE_PATH already; layers and a late environment come after
    const known = process.env.NODE_PATH ? process.env.NODE_PATH.split(':') : [];
    const own = '/opt/nodejs/node' + parseInt(process.versions.node, 10) + '/node_modules';
    // usually they are named there already
    const more = known.includes('/opt/nodejs/node_modules') ? [] : [own, '/opt/nodejs/node_modules'];
    process.env.NODE_PATH = known.concat(more).join(':');
    require('module')._initPaths();
  }
  const ready = init.concurrency > 1 ? Promise.resolve().then(manyCalls) : Promise.resolve();
  ready.then(() => load(root, init.handler)).then(
    (value) => {
      handler = value;
      sendText(READY, 0, 0, '');
      const calls = early;
      early = [];
      calls.forEach((call) => begin(call));
    },
    (error) => {
      logError('Uncaught Exception', error);
      sendError(0, error);
      leave(1);
    }
  );
}

// ---------------------------------------------------------------- streamed answers

const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const HIGH_WATER_MARK = Symbol.for('aws.lambda.runtime.handler.streaming.highWaterMark');
const HTTP_ANSWER = 'application/vnd.awslambda.http-integration-response';
const NOTHING = Buffer.alloc(0);

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

/** The stream that a handler writes its answer to. A host that gave a window gets no more bytes than it has given credit for. */
function answerStream(call) {
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
          if (call.waiting) socket.ref(); // as in waitFor()
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
    highWaterMark: handler[HIGH_WATER_MARK] || PIECE,
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
function runStreaming(call, context, settleCall) {
  const stream = answerStream(call);
  call.streams = true;
  call.finish = () => {
    if (call.written && call.returned) settleCall(call, false);
  };
  call.whenIdle = () => {
    // nothing is left that could end it
    call.returned = true;
    if (!stream._writableState.ended) stream.end();
    else call.finish();
  };
  stream.on('error', (error) => settleCall(call, true, error));
  const returned = () => {
    call.returned = true;
    call.finish();
  };
  const result = handler(JSON.parse(call.text), stream, context);
  if (result && typeof result.then === 'function') result.then(returned, (error) => settleCall(call, true, error));
  else returned();
}

/** The host takes more bytes of a streamed answer. */
function onCredit(call, bytes) {
  if (call === undefined || call === null || call.done) return;
  call.credit += bytes;
  const go = call.onCredit;
  if (!go) return;
  call.onCredit = null;
  if (call.waiting) socket.unref();
  if (storage === null) go();
  else storage.run(call, go);
}

// ---------------------------------------------------------------- invocations

let current = null; // the call under way
let arriving = null; // a call whose payload is not complete
let queue = []; // calls waiting for the one under way
let last = -1;
let traced = false;

function parsed(text, name) {
  if (text === undefined || text === null) return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error('Cannot parse ' + name + ' as json: ' + error);
  }
}

/** Ends a call. Only the first end counts. */
function settle(call, failed, value) {
  if (call.done) return;
  let text;
  if (!failed && !call.streams) {
    try {
      text = JSON.stringify(value);
    } catch (_) {
      failed = true;
      value = new Error('Unable to stringify response body');
    }
  }
  call.done = true;
  call.whenIdle = null;
  current = null;
  if (call.waiting) socket.ref();
  if (failed) {
    logError('Invoke Error', value);
    sendError(call.stream, value);
  } else if (call.streams) {
    sendBytes(DATA, END, call.stream, NOTHING, 0, 0);
  } else {
    sendAnswer(call.stream, text === undefined ? 'null' : text);
  }
  if (queue.length > 0) setImmediate(() => current === null && queue.length > 0 && begin(queue.shift()));
}

/** While a call waits, only the function's own work keeps the event loop alive; when that is over, `beforeExit` comes. */
function waitFor(call) {
  if (!call.done && !call.waiting) {
    call.waiting = true;
    if (!call.onCredit) socket.unref(); // the host will speak: the event loop is not empty
  }
}

/** The second argument of a handler, with the field names of Lambda. */
function contextOf(call, header) {
  const ends = call.began + (header.remaining_ms || 0);
  const finish = (failed, value) => {
    call.called = true;
    settle(call, failed, value);
  };
  return {
    callbackWaitsForEmptyEventLoop: true,
    succeed: (value) => finish(false, value),
    fail: (error) => finish(true, error === undefined || error === null ? 'handled' : error),
    done: (error, value) => (error === undefined || error === null ? finish(false, value) : finish(true, error)),
    functionVersion: fn.function_version,
    functionName: fn.function_name,
    memoryLimitInMB: fn.memory_text,
    logGroupName: fn.log_group,
    logStreamName: fn.log_stream,
    clientContext: parsed(header.client_context, 'ClientContext'),
    identity: parsed(header.identity, 'CognitoIdentity'),
    invokedFunctionArn: header.arn || fn.function_arn,
    awsRequestId: header.request_id,
    tenantId: header.tenant_id,
    getRemainingTimeInMillis: () => Math.max(0, Math.floor(ends - now())),
  };
}

function now() {
  const time = process.hrtime();
  return time[0] * 1e3 + time[1] / 1e6;
}

const openCalls = new Map(); // calls that run beside each other, by stream

/** Ends a call that runs beside others. Only the first end counts. */
function settleOne(call, failed, value) {
  if (call.done) return;
  let text;
  if (!failed && !call.streams) {
    try {
      text = JSON.stringify(value);
    } catch (_) {
      failed = true;
      value = new Error('Unable to stringify response body');
    }
  }
  if (failed) storage.run(call, () => logError('Invoke Error', value));
  call.done = true;
  openCalls.delete(call.stream);
  if (failed) sendError(call.stream, value);
  else if (call.streams) sendBytes(DATA, END, call.stream, NOTHING, 0, 0);
  else sendAnswer(call.stream, text === undefined ? 'null' : text);
}

/** Runs the handler beside the calls that are under way. An answer does not wait for the event loop to be empty. */
function beginOne(call) {
  openCalls.set(call.stream, call);
  storage.run(call, () => {
    try {
      const finish = (failed, value) => settleOne(call, failed, value);
      const context = contextOf(call, call.header);
      context.succeed = (value) => finish(false, value);
      context.fail = (error) => finish(true, error === undefined || error === null ? 'handled' : error);
      context.done = (error, value) => (error === undefined || error === null ? finish(false, value) : finish(true, error));
      const callback = (error, value) => context.done(error, value);
      if (handler[STREAMING] !== undefined) {
        runStreaming(call, context, settleOne);
        return;
      }
      const result = handler(JSON.parse(call.text), context, callback);
      if (result && typeof result.then === 'function') result.then(context.succeed, context.fail);
    } catch (error) {
      settleOne(call, true, error);
    }
  });
}

/** Runs the handler for a call whose payload has arrived. */
function begin(call) {
  if (storage !== null) {
    beginOne(call);
    return;
  }
  if (current !== null) {
    queue.push(call);
    return;
  }
  current = call;
  requestId = call.header.request_id;
  const trace = call.header.trace_id;
  if (trace) process.env._X_AMZN_TRACE_ID = trace;
  else if (traced) delete process.env._X_AMZN_TRACE_ID;
  traced = Boolean(trace);
  try {
    const context = contextOf(call, call.header);
    const callback = (error, value) => {
      if (call.called || call.done) return;
      call.called = true;
      if (error !== undefined && error !== null) settle(call, true, error);
      else if (!context.callbackWaitsForEmptyEventLoop) settle(call, false, value);
      else {
        call.whenIdle = () => settle(call, false, value);
        waitFor(call);
      }
    };
    if (handler[STREAMING] !== undefined) {
      runStreaming(call, context, settle);
    } else {
      const result = handler(JSON.parse(call.text), context, callback);
      if (result && typeof result.then === 'function') result.then(context.succeed, context.fail);
    }
    // a handler that never answers, and leaves nothing behind that could, has answered null
    if (!call.done && call.whenIdle === null) call.whenIdle = () => settle(call, false, null);
  } catch (error) {
    settle(call, true, error);
  }
  waitFor(call);
}

process.on('beforeExit', () => {
  if (exiting) process.exit(0);
  // setImmediate keeps the loop alive; the socket is referenced again by settle()
  if (current !== null && current.whenIdle !== null) setImmediate(current.whenIdle);
});

/** Serves one frame; its body is bytes[start..end]. */
function dispatch(kind, flags, stream, bytes, start, end) {
  if (kind === INVOKE) {
    if (stream === last) return; // a repeated frame is not a second call
    last = stream;
    const began = now();
    const split = start + 4 + bytes.readUInt32BE(start);
    const header = JSON.parse(bytes.utf8Slice(start + 4, split));
    const call = { stream, header, began, text: '', parts: null, called: false, done: false, waiting: false, whenIdle: null, streams: false, credit: 0, onCredit: null };
    if ((flags & END) === 0) {
      call.parts = [Buffer.from(bytes.slice(split, end))];
      arriving = call;
      return;
    }
    call.text = bytes.utf8Slice(split, end);
    if (handler === null) early.push(call);
    else begin(call);
  } else if (kind === DATA && arriving !== null && arriving.stream === stream) {
    const call = arriving;
    call.parts.push(Buffer.from(bytes.slice(start, end)));
    if ((flags & END) === 0) return;
    arriving = null;
    call.text = Buffer.concat(call.parts).toString();
    call.parts = null;
    if (handler === null) early.push(call);
    else begin(call);
  } else if (kind === CANCEL && arriving !== null && arriving.stream === stream) {
    arriving = null;
    sendError(stream, new Fault('Cancelled', 'the caller left before the whole event had arrived'));
  } else if (kind === INIT && fn === null) {
    initialise(JSON.parse(bytes.utf8Slice(start, end)));
  } else if (kind === SHUTDOWN && !exiting) {
    shutDown(bytes.utf8Slice(start, end));
  }
  else if (kind === CANCEL && openCalls.has(stream)) {
    // its time is up: nobody waits for its answer
    const call = openCalls.get(stream);
    call.done = true;
    openCalls.delete(stream);
    if (call.onCredit) call.onCredit(); // what it still writes goes nowhere
  } else if (kind === CREDIT) {
    onCredit(storage === null ? current : openCalls.get(stream), bytes.readUInt32BE(start));
  }
  // CANCEL of a running call, DATA that nobody waits for, kinds of a later protocol: nothing to do
}

// ---------------------------------------------------------------- end

/** Exits once everything queued for the host is in the socket. */
function leave(code) {
  exiting = true;
  if (socket.writableLength === 0) process.exit(code);
  socket.write('', () => process.exit(code));
}

/** Runs the function's SIGTERM listeners and lets them finish within the grace, then exits 0. */
function shutDown(text) {
  exiting = true;
  if (process.listenerCount('SIGTERM') === 0) process.exit(0);
  let grace = 0;
  try {
    grace = JSON.parse(text).grace_ms || 0;
  } catch (_) {
    // no grace is the safe reading
  }
  setTimeout(() => process.exit(0), grace).unref();
  socket.unref();
  process.emit('SIGTERM', 'SIGTERM');
}

/** An error that no handler caught: it ends the call under way, or the start, and then the process. */
function fatal(title, error, code) {
  if (exiting) return;
  logError(title, error);
  openCalls.forEach((call) => sendError(call.stream, error, true));
  if (current !== null && !current.done) sendError(current.stream, error, true);
  else if (handler === null) sendError(0, error);
  leave(code);
}

process.on('uncaughtException', (error) => fatal('Uncaught Exception', error, 129));
process.on('unhandledRejection', (reason) => {
  fatal('Unhandled Promise Rejection', new Fault('UnhandledPromiseRejection', String(reason), reason), 128);
});

/** A process that is started before its function is known does what the first call would be the first to do. */
function warmUp() {
  util = require('util');
  require('path');
  require('url');
  require('module');
  util.format('%s %j', 'a', { a: [1] }, new Error('b').stack, new Date().toISOString(), new Date().getTimezoneOffset());
  JSON.parse(JSON.stringify({ a: [1, 'b', null] }));
  fs.existsSync('/var/task/index.js');
  Promise.resolve().then(() => Buffer.from('a').toString());
  traceOf(String(new Error('c').stack));
}

if (process.env.FLINT_START === 'generic') warmUp();
delete process.env.FLINT_START;
sendText(HELLO, 0, 0, '{"protocol":1,"runtime":"node' + process.versions.node + '"}');
open();
