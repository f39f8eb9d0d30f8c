"""Makes fund data: 12 funds over 10 years of trading days, the same for the same seed.

    python3 generate.py FOLDER [SEED]
"""

import pathlib
import sys

import numpy as np

FUNDS, DAYS = 12, 2520


def main(folder, seed=7):
    random = np.random.default_rng(int(seed))
    # Each fund follows the market in part, and goes its own way beside it.
    market = random.normal(0.0003, 0.009, DAYS)
    share = random.uniform(0.2, 1.3, FUNDS)
    own = random.normal(0.0001, 0.006, (DAYS, FUNDS))
    values = 100 * np.cumprod(1 + market[:, None] * share + own, axis=0)
    days = np.busday_offset("2015-01-05", np.arange(DAYS), roll="forward")
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "values.npy", values)
    np.save(folder / "days.npy", days)
    (folder / "names.txt").write_text("".join(f"fund{n:02}\n" for n in range(FUNDS)))


if __name__ == "__main__":
    main(*sys.argv[1:])
