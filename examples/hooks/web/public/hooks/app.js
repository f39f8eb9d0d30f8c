import { clock, funds } from "./client.js";

// Plain calls; that a server answers them is not to be seen here.
const list = await funds.list("bond");
document.querySelector("#funds").replaceChildren(
  ...list.map((fund) => Object.assign(document.createElement("li"), { textContent: `${fund.code} ${fund.name}` })),
);
const { cents } = await funds.price(list[0].code, 250);
document.querySelector("#price").textContent = `250 × ${list[0].name}: ${(cents / 100).toFixed(2)} (${await clock.today()})`;
