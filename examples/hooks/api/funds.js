"use strict";

// Back-end functions. What is exported here and async, pages call as `funds.NAME(…)`; the rest stays inside.

const FUNDS = [
  { code: "000001", name: "稳健增长 A", kind: "mixed", nav: 12345 },
  { code: "000002", name: "短债 A", kind: "bond", nav: 10412 },
  { code: "000003", name: "全球科技 A", kind: "stock", nav: 28719 },
  { code: "000004", name: "中短债 C", kind: "bond", nav: 10998 },
];

const find = (code) => {
  const fund = FUNDS.find((each) => each.code === code);
  // An error with a `status` is told to the page; every other stays in the log.
  if (!fund) throw Object.assign(new Error(`there is no fund ${code}`), { status: 404 });
  return fund;
};

exports.list = async (kind) => FUNDS.filter((fund) => !kind || fund.kind === kind);

// Hundredths of a cent in, cents out, rounded half up: what so many units cost.
exports.price = async (code, units) => {
  const { nav } = find(code);
  if (!Number.isInteger(units) || units < 1) throw Object.assign(new Error("units is a whole number from 1"), { status: 400 });
  return { code, cents: Math.floor((nav * units + 50) / 100) };
};

exports.audit = async () => {
  throw new Error("the ledger at 10.1.2.3 is closed");
};

// Not async, so no page can call it.
exports.secret = () => "for the back end only";
