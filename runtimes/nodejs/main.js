// From the first word to the last: says HELLO, loads the handler, serves frames, ends in good order.

const protocol = require('./protocol');
const { HELLO, INIT, READY, INVOKE, DATA, CANCEL, CREDIT, SHUTDOWN, END } = protocol;
const channel = require('./channel');
const { Fault, traceOf } = require('./errors');
const calls = require('./calls');
const log = require('./log');
const handlers = require('./handler');
const { now } = require('./context');
const { sendError } = require('./answers');
const streaming = require('./streaming');
const cache = require('./cache');

let mode = require('./single'); // how calls run
let fn = null; // what INIT said about the function
let ready = false;
let early = []; // calls that came before the handler was ready
let arriving = null; // a call whose payload is not complete
let last = -1;
let exiting = false;
let compiles = false; // it is started for its code cache alone

// ---------------------------------------------------------------- start

function initialise(init) {
  // Only what differs: the mere assignment of TZ costs 15 ms.
  Object.keys(init.env || {}).forEach((name) => {
    if (process.env[name] !== init.env[name]) process.env[name] = init.env[name];
  });
  fn = init;
  fn.memory_text = String(init.memory_mb || process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE || '');
  log.patchConsole();
  log.blockOutput('stdout');
  log.blockOutput('stderr');
  calls.showTrace();
  const root = init.task_root || process.env.LAMBDA_TASK_ROOT || '/var/task';
  try {
    process.chdir(root);
  } catch (_) {
    // loading says what is wrong in the words users know
  }
  handlers.knowLayers(init.env && init.env.NODE_PATH);
  if (compiles) cache.make();
  else cache.use(init.code_cache);
  const prepared = init.concurrency > 1 ? Promise.resolve().then(manyCalls) : Promise.resolve();
  prepared.then(() => handlers.load(root, init.handler)).then(loaded, (error) => {
    if (compiles) process.exit(0);
    log.logError('Uncaught Exception', error);
    sendError(0, error);
    leave(1);
  });
}

function manyCalls() {
  calls.separate();
  log.divideOutput();
  mode = require('./beside');
}

function loaded(handler) {
  if (compiles) process.exit(0);
  mode.use(handler, fn);
  ready = true;
  channel.sendText(READY, 0, 0, '');
  const waiting = early;
  early = [];
  waiting.forEach((call) => mode.begin(call));
}

// ---------------------------------------------------------------- frames

/** Serves one frame; its body is bytes[start..end]. */
function serve(kind, flags, stream, bytes, start, end) {
  if (kind === INVOKE) {
    if (stream === last) return; // a repeated frame is not a second call
    last = stream;
    invoke((flags & END) !== 0, stream, bytes, start, end);
  } else if (kind === DATA && arriving !== null && arriving.stream === stream) {
    const call = arriving;
    call.parts.push(Buffer.from(bytes.slice(start, end)));
    if ((flags & END) === 0) return;
    arriving = null;
    call.text = Buffer.concat(call.parts).toString();
    call.parts = null;
    arrived(call);
  } else if (kind === CANCEL && arriving !== null && arriving.stream === stream) {
    arriving = null;
    sendError(stream, new Fault('Cancelled', 'the caller left before the whole event had arrived'));
  } else if (kind === INIT && fn === null) {
    initialise(JSON.parse(bytes.utf8Slice(start, end)));
  } else if (kind === SHUTDOWN && !exiting) {
    shutDown(bytes.utf8Slice(start, end));
  } else if (kind === CANCEL) {
    mode.cancel(stream);
  } else if (kind === CREDIT) {
    streaming.onCredit(mode.find(stream), bytes.readUInt32BE(start));
  }
  // DATA that nobody waits for, kinds of a later protocol: nothing to do
}

function invoke(whole, stream, bytes, start, end) {
  const began = now();
  const split = start + 4 + bytes.readUInt32BE(start);
  const header = JSON.parse(bytes.utf8Slice(start + 4, split));
  const call = { stream, header, began, text: '', parts: null, called: false, ended: false, done: false, waiting: false, whenIdle: null, streams: false, credit: 0, onCredit: null };
  if (!whole) {
    call.parts = [Buffer.from(bytes.slice(split, end))];
    arriving = call;
    return;
  }
  call.text = bytes.utf8Slice(split, end);
  arrived(call);
}

function arrived(call) {
  if (ready) mode.begin(call);
  else early.push(call);
}

// ---------------------------------------------------------------- end

/** Exits once everything queued for the host is in the socket. */
function leave(code) {
  exiting = true;
  channel.exitWhenSent(code);
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
  channel.letGo();
  process.emit('SIGTERM', 'SIGTERM');
}

/** An error that no handler caught: it ends the calls under way, or the start, and then the process. */
function fatal(title, error, code) {
  if (compiles) process.exit(0);
  if (exiting) return;
  log.logError(title, error);
  if (!mode.fail(error) && !ready) sendError(0, error);
  leave(code);
}

process.on('beforeExit', () => {
  if (exiting) process.exit(0);
  mode.idle();
});
process.on('uncaughtException', (error) => fatal('Uncaught Exception', error, 129));
process.on('unhandledRejection', (reason) => {
  fatal('Unhandled Promise Rejection', new Fault('UnhandledPromiseRejection', String(reason), reason), 128);
});

/** A process that is started before its function is known does what the first call would be the first to do. */
function warmUp() {
  log.warmUp();
  handlers.warmUp();
  JSON.parse(JSON.stringify({ a: [1, 'b', null] }));
  Promise.resolve().then(() => Buffer.from('a').toString());
  traceOf(String(new Error('c').stack));
}

const start = process.env.FLINT_START;
delete process.env.FLINT_START;
compiles = start === 'compile';
if (start === 'generic') warmUp();
if (!compiles) channel.sendText(HELLO, 0, 0, '{"protocol":1,"runtime":"node' + process.versions.node + '"}');
channel.open(serve);
