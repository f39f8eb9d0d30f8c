"""The model: a portfolio that is brought back to its weights at the first trading day of each month, and what it was worth."""

import math
import pathlib

import numpy as np

VERSION = 1
DAYS = 252


class Funds:
    """Net asset values: one row per trading day, one column per fund."""

    def __init__(self, names, days, values):
        self.names = {name: column for column, name in enumerate(names)}
        self.values = values
        months = days.astype("datetime64[M]")
        # The rows at which a month begins; the first row is where the portfolio is bought.
        self.rebalanced = np.flatnonzero(months[1:] != months[:-1]) + 1

    @classmethod
    def read(cls, folder):
        folder = pathlib.Path(folder)
        values = np.load(folder / "values.npy", mmap_mode="r")
        days = np.load(folder / "days.npy")
        return cls((folder / "names.txt").read_text().split(), days, values)

    def backtest(self, weights, cost):
        """Daily returns, after `cost` per unit of value traded, the purchase included."""
        unknown = sorted(set(weights) - set(self.names))
        if unknown:
            raise ValueError(f"no such funds: {', '.join(unknown)}")
        target = np.array(list(weights.values()), dtype=float)
        if not len(target) or target.min() < 0 or not math.isfinite(target.sum()) or target.sum() <= 0:
            raise ValueError("weights: shares that are not negative, one of them greater than zero")
        target = target / target.sum()
        values = np.asarray(self.values[:, [self.names[name] for name in weights]])
        worth = np.empty(len(values))
        worth[0] = 1.0
        begin, held = 0, 1.0 - cost
        for end in [*self.rebalanced, len(values) - 1]:
            if end == begin:
                continue
            grown = target * (values[begin + 1 : end + 1] / values[begin])
            worth[begin + 1 : end + 1] = held * grown.sum(axis=1)
            held = worth[end]
            if end in self.rebalanced:
                share = grown[-1] / grown[-1].sum()
                held = held * (1.0 - cost * np.abs(target - share).sum())
                worth[end] = held
            begin = end
        return worth[1:] / worth[:-1] - 1.0


def measures(returns):
    """What the portfolio is judged by; 252 trading days are a year, and nothing is earned without risk."""
    curve = np.cumprod(1.0 + returns)
    peak = np.maximum.accumulate(np.concatenate(([1.0], curve)))[1:]
    downside = math.sqrt(np.mean(np.minimum(returns, 0.0) ** 2)) * math.sqrt(DAYS)
    volatility = np.std(returns, ddof=1)
    return {
        "total": float(curve[-1] - 1.0),
        "cagr": float(curve[-1] ** (DAYS / len(returns)) - 1.0),
        "volatility": float(volatility * math.sqrt(DAYS)),
        "sharpe": float(np.mean(returns) / volatility * math.sqrt(DAYS)),
        "sortino": float(np.mean(returns) * DAYS / downside),
        "max_drawdown": float(np.min(curve / peak - 1.0)),
        "var95": float(np.percentile(returns, 5)),
    }
