"use strict";

// Made-up funds, the same at every call: what a database would answer.

const KINDS = ["稳健增长", "沪深红利", "全球科技", "短债", "平衡养老"];

exports.list = (count) => {
  const funds = [];
  let state = 20261122;
  const next = (below) => {
    state = (state * 48271) % 2147483647;
    return state % below;
  };
  for (let n = 0; n < count; n++) {
    const kind = KINDS[next(KINDS.length)];
    funds.push({
      code: String(100000 + n * 37).padStart(6, "0"),
      name: `${kind}${n % 7 === 0 ? " <A&C>" : " A"}`,
      nav: 5000 + next(30000),
      change: next(1001) - 500,
    });
  }
  return funds;
};

// What takes longer to find out: the fund with the largest gain of the day.
exports.best = async (funds, ms) => {
  await new Promise((done) => setTimeout(done, ms));
  return funds.reduce((best, fund) => (fund.change > best.change ? fund : best));
};
