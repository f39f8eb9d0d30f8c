// Calls beside each other: each has its context and its log. An answer does not wait for the event loop to be empty.

const { contextOf } = require('./context');
const { conclude, sendError } = require('./answers');
const calls = require('./calls');
const streaming = require('./streaming');

let handler = null;
let fn = null;
const open = new Map(); // the calls under way, by stream

/** Ends a call. */
function settle(call, failed, value) {
  if (conclude(call, failed, value)) open.delete(call.stream);
}

/** Runs the handler beside the calls that are under way. */
function begin(call) {
  open.set(call.stream, call);
  calls.within(call, () => {
    try {
      const context = contextOf(call, fn, settle);
      if (streaming.streams(handler)) {
        streaming.run(handler, call, context, settle);
        return;
      }
      const callback = (error, value) => context.done(error, value);
      const result = handler(JSON.parse(call.text), context, callback);
      if (result && typeof result.then === 'function') result.then(context.succeed, context.fail);
    } catch (error) {
      settle(call, true, error);
    }
  });
}

/** The socket is held all the time: there is nothing to do. */
function idle() {}

/** The process is about to end: so do the calls. Says whether there was one. */
function fail(error) {
  open.forEach((call) => sendError(call.stream, error, true));
  return open.size > 0;
}

function use(loaded, about) {
  handler = loaded;
  fn = about;
}

function find(stream) {
  return open.get(stream);
}

/** A call's time is up: nobody waits for its answer. */
function cancel(stream) {
  const call = open.get(stream);
  if (call === undefined) return;
  call.done = true;
  open.delete(stream);
  if (call.onCredit) call.onCredit(); // what it still writes goes nowhere
}

Object.assign(exports, { use, begin, idle, fail, find, cancel });
