"""Backtests the portfolio that the event describes, on the fund data that the version shows.

Event: `weights` (share by fund, not negative), `cost_bp` (of what is traded, in hundredths of a percent; 15), `series` (also the
returns of every day; false).
"""

import model
from model import Funds

# Read once per instance; every instance shares the kernel's one copy of the file.
FUNDS = Funds.read("/mnt/funds")


def handler(event, context):
    weights, cost_bp = event["weights"], float(event.get("cost_bp", 15))
    returns = FUNDS.backtest(weights, cost_bp / 10_000)
    answer = {"model": model.VERSION, "days": len(returns), "measures": model.measures(returns)}
    if event.get("series"):
        answer["returns"] = returns.tolist()
    return answer
