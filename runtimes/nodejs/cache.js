// V8's code cache of the function's modules: instances read the one that was made for their version, and never write it.

const fs = require('fs');
const { SOCKET } = require('./protocol');

const MADE = '/tmp/flint-code-cache';
const PATIENCE = 20000;

/** Takes what was compiled before from a folder. */
function use(folder) {
  const { enableCompileCache } = require('module');
  if (folder && enableCompileCache) enableCompileCache(folder);
}

/**
 * Compiles instead of serving: what the handler loads is handed to the host when the process ends, also when it ends itself.
 * As `runtimes/python/compile.py` does: two lengths (big-endian, 4 bytes each), the name, the bytes.
 */
function make() {
  use(MADE);
  setTimeout(() => process.exit(0), PATIENCE);
  process.on('exit', () => {
    require('module').flushCompileCache();
    fs.readdirSync(MADE).forEach((folder) =>
      fs.readdirSync(MADE + '/' + folder).forEach((file) => hand(folder + '/' + file))
    );
  });
}

function hand(name) {
  const data = fs.readFileSync(MADE + '/' + name);
  const path = Buffer.from(name);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(path.length, 0);
  head.writeUInt32BE(data.length, 4);
  send(Buffer.concat([head, path, data]));
}

/** Writes all of it before it returns: nothing runs after the end of the process. */
function send(bytes) {
  let sent = 0;
  while (sent < bytes.length) {
    try {
      sent += fs.writeSync(SOCKET, bytes, sent);
    } catch (error) {
      if (error.code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

Object.assign(exports, { use, make });
