// Lambda's log lines, for the console, for what is written past it, and for errors.

const fs = require('fs');
const { LOG } = require('./protocol');
const { CHUNK, sendText } = require('./channel');
const { traceOf, isError, describe } = require('./errors');
const calls = require('./calls');

let util = null;
let jsonLogs = false;

/** Writes to the log: of the call, where calls run beside each other, else to the pipe. */
function writeLog(text) {
  const call = calls.own();
  if (call === undefined) writeOut(1, text);
  else sendText(LOG, 0, call.stream, text.length > CHUNK ? text.slice(0, CHUNK) : text);
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
  const line = { timestamp: new Date().toISOString(), level, requestId: calls.currentId(), message: values[0] };
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
  writeLog(new Date().toISOString() + '\t' + calls.currentId() + '\t' + level + '\t' + text + '\n');
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

/** Several calls at once: what each prints past the console is its own too. */
function divideOutput() {
  ['stdout', 'stderr'].forEach((name) => {
    const stream = process[name];
    const usual = stream.write;
    stream.write = function write(chunk, encoding, done) {
      if (calls.own() === undefined) return usual.call(stream, chunk, encoding, done);
      writeLog(typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString());
      const after = typeof encoding === 'function' ? encoding : done;
      if (typeof after === 'function') process.nextTick(after);
      return true;
    };
  });
}

/** Loads what the first line of a log would be the first to load. */
function warmUp() {
  util = require('util');
  util.format('%s %j', 'a', { a: [1] }, new Error('b').stack, new Date().toISOString(), new Date().getTimezoneOffset());
}

Object.assign(exports, { logError, patchConsole, blockOutput, divideOutput, warmUp });
