'use strict';
// Runs one Node.js function for Flint: frames on descriptor 3 in, answers out.
//
// The protocol is docs/decisions/004-frame.md; the conventions of the handler, its context, its errors and its log lines are
// AWS Lambda's. Start it as `node bootstrap.js` with a Unix stream socket on descriptor 3 and the log pipe on 1 and 2; node
// itself marks descriptor 3 close-on-exec. Standard library only, Node.js 10 and later.
//
// Its parts are files of runtimes/nodejs, each in a function of its own below; crates/runtime/src/bootstrap.rs puts them
// together when Flint is built. One file, since each file that node has to find, read and wrap is half a millisecond of a start.

const parts = Object.create(null);

/** What a part requires: a part that stands before it, or what node has. */
function find(name) {
  return parts[name] || require(name);
}
find.resolve = require.resolve;

/** Runs a part. */
function part(name, body) {
  parts[name] = {};
  body(parts[name], find);
}
