"use strict";

const fs = require("node:fs");
const path = require("node:path");
const { pipeline } = require("node:stream/promises");
const { PassThrough } = require("node:stream");
const { createElement } = require("react");
const { renderToPipeableStream } = require("react-dom/server");
const funds = require("./funds");
const { Page } = require("./page");

const LATE_MS = Number(process.env.LATE_MS ?? 400);
// The address of the function in quote/; without one the page has nothing to click.
const QUOTES = process.env.QUOTES;
const HTML = { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" };
const SCRIPT = { "content-type": "text/javascript; charset=utf-8", "cache-control": "public, max-age=60" };
// What `build` made of client.js.
const CLIENT = path.join(__dirname, "client.bundle.js");

// Renders the page into `begin()`'s stream as soon as all but the late part is there; settles when all of it is written.
function render(count, begin) {
  const list = funds.list(count);
  return new Promise((done, failed) => {
    const page = createElement(Page, { funds: list, best: funds.best(list, LATE_MS), quotes: QUOTES });
    const data = JSON.stringify({ funds: list, quotes: QUOTES }).replaceAll("<", "\\u003c");
    const { pipe } = renderToPipeableStream(page, {
      // In the browser the same page is made of the same data: see client.js.
      bootstrapScriptContent: QUOTES && `window.page = ${data}`,
      bootstrapModules: QUOTES ? ["client.js"] : [],
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
    if (event.rawPath.endsWith("/client.js")) {
      const out = awslambda.HttpResponseStream.from(stream, { statusCode: 200, headers: SCRIPT });
      return pipeline(fs.createReadStream(CLIENT), out);
    }
    const count = Math.min(Number(event.queryStringParameters?.count ?? 200) || 200, 5000);
    await render(count, () => awslambda.HttpResponseStream.from(stream, { statusCode: 200, headers: HTML }));
  });
} else if (require.main === module) {
  render(200, () => process.stdout);
}
