"use strict";

// One answer for a front end from four services, asked at once: what is late or broken is left out and named.

const SERVICES = ["account", "card", "fund", "points"];
const DEADLINE_MS = Number(process.env.DEADLINE_MS ?? 300);
const TRACE_HEADERS = ["traceparent", "tracestate", "x-request-id", "x-amzn-trace-id"];

// Digits 7 to the last but four: the issuer stays readable, the number can no longer be used.
function masked(number) {
  return number.slice(0, 6) + "*".repeat(Math.max(number.length - 10, 0)) + number.slice(-4);
}

// What of an answer goes out; a service not listed here is passed on as it came.
const SHAPES = {
  card: ({ cards }) => ({ cards: cards.map(({ number, kind }) => ({ number: masked(number), kind })) }),
};

async function ask(service, customer, headers, signal) {
  const url = `${process.env[`${service.toUpperCase()}_URL`]}/${service}/${encodeURIComponent(customer)}`;
  const answer = await fetch(url, { headers, signal });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const body = await answer.json();
  return SHAPES[service]?.(body) ?? body;
}

function json(statusCode, body) {
  return { statusCode, headers: { "content-type": "application/json", "cache-control": "no-store" }, body: JSON.stringify(body) };
}

exports.handler = async (event) => {
  const customer = event.pathParameters?.customer ?? "";
  if (!/^c\d{5}$/.test(customer)) return json(400, { error: "customer is c and five digits, such as c00042" });
  const given = event.headers ?? {};
  const headers = Object.fromEntries(TRACE_HEADERS.filter((name) => given[name]).map((name) => [name, given[name]]));
  // One deadline for all: a service that answers later is as good as none, and its request is given up.
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const answers = await Promise.allSettled(SERVICES.map((service) => ask(service, customer, headers, signal)));
  const overview = { customer, degraded: [] };
  for (const [n, answer] of answers.entries()) {
    const service = SERVICES[n];
    if (answer.status === "fulfilled") {
      overview[service] = answer.value;
    } else {
      overview.degraded.push(service);
      console.log(JSON.stringify({ service, customer, missing: String(answer.reason?.message ?? answer.reason) }));
    }
  }
  return json(200, overview);
};
