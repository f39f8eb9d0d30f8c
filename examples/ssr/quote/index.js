"use strict";

// The latest value of a fund: what a market's service would answer, made up from the code.
exports.handler = async (event) => {
  const code = event.queryStringParameters?.code ?? "";
  if (!/^\d{6}$/.test(code)) return { statusCode: 400, body: "code: six digits" };
  return { statusCode: 200, headers: { "content-type": "application/json" }, body: JSON.stringify({ code, nav: (Number(code) * 7919) % 100_000 }) };
};
