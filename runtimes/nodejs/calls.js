// To which call the code under way belongs, and what follows from that: its request id, its trace id.

const { Fault } = require('./errors');

const TRACE = '_X_AMZN_TRACE_ID';

let requestId; // undefined until the first call, as in Lambda's log lines
let traceId;
let storage = null; // only where calls run beside each other

/** From here on calls run beside each other. */
function separate() {
  const { AsyncLocalStorage } = require('async_hooks');
  if (AsyncLocalStorage === undefined) {
    throw new Fault('Concurrency', 'several calls at once need Node.js 12.17 or later, this is ' + process.version);
  }
  storage = new AsyncLocalStorage();
}

/** Whether calls run beside each other. */
function areSeparate() {
  return storage !== null;
}

/** The only call of now begins. */
function take(header) {
  requestId = header.request_id;
  traceId = header.trace_id;
}

/** Runs code as that of a call. */
function within(call, code) {
  return storage === null ? code() : storage.run(call, code);
}

/** The call that the code under way belongs to, where calls run beside each other and it is not over. */
function own() {
  const call = storage === null ? undefined : storage.getStore();
  return call === undefined || call.done ? undefined : call;
}

function headerOf() {
  const call = storage === null ? undefined : storage.getStore();
  return call === undefined ? undefined : call.header;
}

function currentId() {
  const header = headerOf();
  return header === undefined ? requestId : header.request_id;
}

function currentTrace() {
  const header = headerOf();
  return header === undefined ? traceId : header.trace_id;
}

function setTrace(value) {
  const header = headerOf();
  if (header === undefined) traceId = value;
  else header.trace_id = value;
  return true;
}

/**
 * Shows the trace id as a variable of the environment, as Lambda does. It is none: setting one costs up to 6 µs of each call,
 * and glibc keeps every value that a variable ever had, which is 190 bytes of each call for the life of the process.
 */
function showTrace() {
  delete process.env[TRACE];
  const shown = (key) => key === TRACE && currentTrace() !== undefined;
  process.env = new Proxy(process.env, {
    get: (env, key) => (key === TRACE ? currentTrace() : env[key]),
    set(env, key, value) {
      if (key === TRACE) return setTrace(String(value));
      env[key] = value;
      return true;
    },
    has: (env, key) => (key === TRACE ? shown(key) : key in env),
    deleteProperty: (env, key) => (key === TRACE ? setTrace(undefined) : delete env[key]),
    ownKeys: (env) => (shown(TRACE) ? Reflect.ownKeys(env).concat(TRACE) : Reflect.ownKeys(env)),
    getOwnPropertyDescriptor: (env, key) =>
      shown(key)
        ? { value: currentTrace(), configurable: true, enumerable: true, writable: true }
        : Reflect.getOwnPropertyDescriptor(env, key),
  });
}

Object.assign(exports, { separate, areSeparate, take, within, own, currentId, showTrace });
