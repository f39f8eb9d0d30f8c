// A bare Node server that writes 64 MiB in pieces of 1 MiB: what the streaming benchmark is compared with.
"use strict";

const piece = Buffer.alloc(1 << 20, "x");

const server = require("node:http").createServer(async (request, response) => {
  response.writeHead(200, { "content-type": "application/octet-stream" });
  for (let n = 0; n < 64; n += 1) {
    if (!response.write(piece)) await new Promise((done) => response.once("drain", done));
  }
  response.end();
});
server.listen(0, "127.0.0.1", () => console.log(`listens on http://127.0.0.1:${server.address().port}`));
