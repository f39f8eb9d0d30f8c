// Calls one after another: the next begins when the one under way has ended.

const { hold, letGo } = require('./channel');
const { contextOf } = require('./context');
const { conclude, sendError } = require('./answers');
const calls = require('./calls');
const streaming = require('./streaming');

const SOON = Promise.resolve();

let handler = null;
let fn = null;
let current = null; // the call under way
let queue = []; // calls waiting for the one under way

/** Ends a call. */
function settle(call, failed, value) {
  if (!conclude(call, failed, value)) return;
  call.whenIdle = null;
  current = null;
  if (call.waiting) hold();
  if (queue.length > 0) setImmediate(() => current === null && queue.length > 0 && begin(queue.shift()));
}

/** While a call waits, only the function's own work keeps the event loop alive; when that is over, `beforeExit` comes. */
function waitFor(call) {
  if (!call.done && !call.waiting) {
    call.waiting = true;
    if (!call.onCredit) letGo(); // the host will speak: the event loop is not empty
  }
}

/** A handler whose promise was kept when it returned has answered by now: nothing has to be waited for. */
function waitForCurrent() {
  if (current !== null) waitFor(current);
}

/** A handler that never answers, and leaves nothing behind that could, has answered null. */
function answerNull() {
  if (current !== null) settle(current, false, null);
}

/** The third argument of a handler. */
function callbackOf(call, context) {
  return (error, value) => {
    if (call.called || call.done) return;
    call.called = true;
    if (error !== undefined && error !== null) settle(call, true, error);
    else if (!context.callbackWaitsForEmptyEventLoop) settle(call, false, value);
    else {
      call.whenIdle = () => settle(call, false, value);
      waitFor(call);
    }
  };
}

/** Runs the handler for a call whose payload has arrived. */
function begin(call) {
  if (current !== null) {
    queue.push(call);
    return;
  }
  current = call;
  calls.take(call.header);
  try {
    const context = contextOf(call, fn, settle);
    if (streaming.streams(handler)) {
      streaming.run(handler, call, context, settle);
    } else {
      const result = handler(JSON.parse(call.text), context, callbackOf(call, context));
      if (result && typeof result.then === 'function') {
        result.then(context.succeed, context.fail);
        if (call.whenIdle === null) call.whenIdle = answerNull;
        SOON.then(waitForCurrent);
        return;
      }
    }
    if (call.whenIdle === null) call.whenIdle = answerNull;
  } catch (error) {
    settle(call, true, error);
  }
  waitFor(call);
}

/** Nothing is left of the function's own work. */
function idle() {
  // setImmediate keeps the loop alive; the socket is held again by settle()
  if (current !== null && current.whenIdle !== null) setImmediate(current.whenIdle);
}

/** The process is about to end: so does the call. Says whether there was one. */
function fail(error) {
  if (current === null || current.done) return false;
  sendError(current.stream, error, true);
  return true;
}

function use(loaded, about) {
  handler = loaded;
  fn = about;
}

function find() {
  return current;
}

/** The host kills an instance whose call it has given up. */
function cancel() {}

Object.assign(exports, { use, begin, idle, fail, find, cancel });
