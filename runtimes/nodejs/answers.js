// How a call ends: its answer or its error, logged and sent.

const { DATA, ERROR, END } = require('./protocol');
const { sendText, sendAnswer, sendBytes } = require('./channel');
const { describe } = require('./errors');
const { logError } = require('./log');
const calls = require('./calls');

const NOTHING = Buffer.alloc(0);

function sendError(stream, error, fatal) {
  const body = describe(error);
  if (fatal) body.flint = { fatal: true };
  sendText(ERROR, END, stream, JSON.stringify(body));
}

/** Says the end of a call; only the first one counts. Returns whether it was that. */
function conclude(call, failed, value) {
  if (call.ended || call.done) return false;
  call.ended = true;
  let text;
  if (!failed && !call.streams) {
    try {
      text = JSON.stringify(value);
    } catch (_) {
      failed = true;
      value = new Error('Unable to stringify response body');
    }
  }
  if (failed) calls.within(call, () => logError('Invoke Error', value));
  call.done = true;
  if (failed) sendError(call.stream, value);
  else if (call.streams) sendBytes(DATA, END, call.stream, NOTHING, 0, 0);
  else sendAnswer(call.stream, text === undefined ? 'null' : text);
  return true;
}

Object.assign(exports, { NOTHING, sendError, conclude });
