// A back end for a front end: one page from five services, asked at once, one of which fails.
const http = require('http');
const Router = require('@koa/router');
const Koa = require('koa');
const bodyParser = require('koa-bodyparser');

// The services behind it stand in for the site's: a function without a network reaches its own loopback only.
const DELAY_MS = 100;
const services = { user: 1, cart: 2, prices: 3, stock: 4, advice: 5 };
const ports = {};

function serve(name, value) {
  return new Promise((done) => {
    const server = http.createServer((request, response) => {
      setTimeout(() => {
        response.statusCode = name === 'advice' ? 503 : 200;
        response.end(JSON.stringify({ name, value, trace: request.headers['x-trace'] }));
      }, DELAY_MS);
    });
    server.listen(0, '127.0.0.1', () => {
      ports[name] = server.address().port;
      done();
    });
  });
}

async function ask(name, trace) {
  const answer = await fetch(`http://127.0.0.1:${ports[name]}/`, {
    headers: { 'x-trace': trace },
    signal: AbortSignal.timeout(2000),
  });
  return answer.ok ? answer.json() : { name, missing: answer.status };
}

const app = new Koa({ proxy: true });
const router = new Router();
router.get('/page/:user', async (context) => {
  const begun = Date.now();
  const parts = await Promise.all(Object.keys(services).map((name) => ask(name, context.get('x-amzn-requestid'))));
  context.body = { user: context.params.user, parts, ms: Date.now() - begun };
});
router.post('/cart', (context) => {
  context.status = 202;
  context.body = { items: context.request.body.items.length };
});
app.use(bodyParser()).use(router.routes()).use(router.allowedMethods());

Promise.all(Object.entries(services).map(([name, value]) => serve(name, value))).then(() => app.listen(process.env.PORT));
