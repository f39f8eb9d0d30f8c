"use strict";

const { pipeline } = require("node:stream/promises");
const { PassThrough } = require("node:stream");
const { createElement } = require("react");
const { renderToPipeableStream } = require("react-dom/server");
const funds = require("./funds");
const { Page } = require("./page");

const LATE_MS = Number(process.env.LATE_MS ?? 400);
const HTML = { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" };

// Renders the page into `begin()`'s stream as soon as all but the late part is there; settles when all of it is written.
function render(count, begin) {
  const list = funds.list(count);
  return new Promise((done, failed) => {
    const page = createElement(Page, { funds: list, best: funds.best(list, LATE_MS) });
    const { pipe } = renderToPipeableStream(page, {
      onShellReady: () => pipeline(pipe(new PassThrough()), begin()).then(done, failed),
      onShellError: failed,
      // After the first byte the status is said: React shows the fallback, and the log why.
      onError: (error) => console.error(error),
    });
  });
}

exports.render = render;

if (globalThis.awslambda) {
  exports.handler = awslambda.streamifyResponse(async (event, stream) => {
    const count = Math.min(Number(event.queryStringParameters?.count ?? 200) || 200, 5000);
    await render(count, () => awslambda.HttpResponseStream.from(stream, { statusCode: 200, headers: HTML }));
  });
} else if (require.main === module) {
  render(200, () => process.stdout);
}
