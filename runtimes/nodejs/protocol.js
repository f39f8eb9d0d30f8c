// The words of the protocol: docs/decisions/004-frame.md.

exports.SOCKET = 3;

exports.HELLO = 1;
exports.INIT = 2;
exports.READY = 3;
exports.INVOKE = 4;
exports.DATA = 5;
exports.ERROR = 6;
exports.CANCEL = 7;
exports.CREDIT = 8;
exports.LOG = 9;
exports.STREAM_HEAD = 10;
exports.SHUTDOWN = 11;

/** The flag of a stream's last frame. */
exports.END = 1;

exports.HEAD = 12;
exports.MAX_FRAME = 8 * 1024 * 1024;
