"use strict";

// The page as React components. `createElement` instead of JSX: nothing has to be compiled.

const { createElement: h, Suspense, use, useState } = require("react");

const decimal = (number, digits) => (number / 10 ** digits).toFixed(digits);

function Fund({ fund }) {
  return h(
    "tr",
    null,
    h("td", null, fund.code),
    h("td", null, fund.name),
    h("td", null, decimal(fund.nav, 4)),
    h("td", { className: fund.change < 0 ? "down" : "up" }, `${fund.change < 0 ? "" : "+"}${decimal(fund.change, 2)}%`),
  );
}

// Waits for its data; the rest of the page does not.
function Best({ promise }) {
  const fund = use(promise);
  return h("p", { id: "best" }, `今日最佳：${fund.name}（${fund.code}）`);
}

// Alive in the browser: asks a function of its own, whose address the page was given.
function Quote({ quotes, code }) {
  const [quote, setQuote] = useState(null);
  const ask = async () => {
    const answer = await fetch(`${quotes}?code=${code}`);
    setQuote(answer.ok ? await answer.json() : { failed: answer.status });
  };
  const said = quote && (quote.failed ? `失败：${quote.failed}` : `${quote.code} 最新净值 ${decimal(quote.nav, 4)}`);
  return h("p", null, h("button", { id: "ask", onClick: ask }, "最新净值"), " ", h("output", { id: "quote" }, said));
}

exports.Page = function Page({ funds, best, quotes }) {
  return h(
    "html",
    { lang: "zh-CN" },
    h("head", null, h("meta", { charSet: "utf-8" }), h("link", { rel: "icon", href: "data:," }), h("title", null, "基金列表")),
    h(
      "body",
      null,
      h("h1", null, "基金列表"),
      h(Suspense, { fallback: h("p", null, "正在计算…") }, h(Best, { promise: best })),
      quotes && h(Quote, { quotes, code: funds[0].code }),
      h(
        "table",
        null,
        h("thead", null, h("tr", null, ...["代码", "名称", "净值", "日涨跌"].map((text) => h("th", { key: text }, text)))),
        h("tbody", null, funds.map((fund) => h(Fund, { key: fund.code, fund }))),
      ),
    ),
  );
};
