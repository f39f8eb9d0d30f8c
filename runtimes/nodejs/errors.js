// Errors as users and the host see them.

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

Object.assign(exports, { Fault, traceOf, isError, describe });
