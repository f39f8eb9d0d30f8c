"""Portfolios once more, by other means: money per fund day by day, and the measures of empyrical-reloaded.

Reads {"values", "months", "portfolios": [{"target", "cost", "returns", "measures"}]} and writes the largest differences as JSON.
"""

import json
import sys

import empyrical
import numpy as np
import pandas as pd

MEASURES = {
    "total": empyrical.cum_returns_final,
    "cagr": empyrical.annual_return,
    "volatility": empyrical.annual_volatility,
    "sharpe": empyrical.sharpe_ratio,
    "sortino": empyrical.sortino_ratio,
    "max_drawdown": empyrical.max_drawdown,
    "var95": empyrical.value_at_risk,
}


def returns_by_holdings(values, months, target, cost):
    """Daily returns of all portfolios at once: rows of `target` are portfolios."""
    money = target * (1 - cost)
    worth = [np.ones(len(target))]
    for day in range(1, len(values)):
        money = money * (values[day] / values[day - 1])
        total = money.sum(axis=1)
        if months[day] != months[day - 1]:
            traded = np.abs(money - total[:, None] * target).sum(axis=1)
            total = total - cost[:, 0] * traded
            money = total[:, None] * target
        worth.append(total)
    return np.diff(np.array(worth), axis=0) / np.array(worth)[:-1]


def main():
    given = json.load(sys.stdin)
    portfolios = given["portfolios"]
    target = np.array([each["target"] for each in portfolios])
    cost = np.array([[each["cost"]] for each in portfolios])
    ours = returns_by_holdings(np.array(given["values"]), given["months"], target, cost)
    largest = dict.fromkeys(["returns", *MEASURES], 0.0)
    for column, each in enumerate(portfolios):
        theirs = np.array(each["returns"])
        assert np.isfinite(theirs).all() and theirs.shape == ours[:, column].shape
        largest["returns"] = max(largest["returns"], float(np.abs(theirs - ours[:, column]).max()))
        for name, measure in MEASURES.items():
            difference = abs(each["measures"][name] - float(measure(pd.Series(ours[:, column]))))
            # Not `max` of the two: that would lose one that is no number.
            largest[name] = difference if not difference <= largest[name] else largest[name]
    json.dump(largest, sys.stdout)


main()
