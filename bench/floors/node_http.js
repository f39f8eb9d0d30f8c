// A bare Node server with the handler of the warm benchmark: what a team without a platform would run.
"use strict";

const handler = async (event) => event;

const server = require("node:http").createServer((request, response) => {
  const pieces = [];
  request.on("data", (piece) => pieces.push(piece));
  request.on("end", async () => {
    const answer = Buffer.from(JSON.stringify(await handler(JSON.parse(Buffer.concat(pieces)))));
    response.writeHead(200, { "content-type": "application/json", "content-length": answer.length });
    response.end(answer);
  });
});
server.keepAliveTimeout = 60000;
server.listen(0, "127.0.0.1", () => console.log(`listens on http://127.0.0.1:${server.address().port}`));
