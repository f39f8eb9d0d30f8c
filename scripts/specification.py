#!/usr/bin/env python3
"""Writes the figures of bench/results/*.json into SPECIFICATION.md: the cell after the command of each row with that id."""

import json
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
figures = {}
for path in sorted((ROOT / "bench/results").glob("*.json")):
    figures.update(json.loads(path.read_text())["figures"])


def text(name, figure):
    value, unit = figure["value"], figure["unit"]
    number = f"{value:.4g}" if isinstance(value, float) else str(value)
    said = number if unit in ("objects", "probes", "writes", "processes") else f"{number} {unit}"
    if figure.get("ratio"):
        said += f", {figure['ratio']:.2f} × baseline"
    if figure.get("met") is False:
        said += f" (missed: goal {figure['goal']})"
    return said


def row(match):
    cells = [cell.strip() for cell in match.group(0).strip("|").split(" | ")]
    name = cells[0].strip("` ")
    if name in figures and not cells[3].startswith("pending"):
        cells[3] = text(name, figures[name])
    return "| " + " | ".join(cell.strip() for cell in cells) + " |"


page = ROOT / "SPECIFICATION.md"
page.write_text(re.sub(r"^\| `.*\|$", row, page.read_text(), flags=re.M))
