#!/usr/bin/env python3
"""Draws the cost curve of bench/results/density.json as docs/images/cost-curve.svg: latency beside more and more functions and
instances, on logarithmic axes."""

import json
import math
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULT = json.loads((ROOT / "bench/results/density.json").read_text())
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM, GAP = 920, 360, 60, 20, 56, 56, 60
PANEL = (WIDTH - LEFT - RIGHT - GAP) / 2
LOW, HIGH = 0.1, 100.0
COLOURS = {"warm": "#1a7f5a", "cold": "#b4541a"}
NAMES = {"warm": "warm call", "cold": "first call"}


def points(what, kind):
    """(count, milliseconds) of one line, by count."""
    pattern = re.compile(rf"curve-{what}-(\d+)-{kind}$")
    found = ((pattern.match(name), figure["value"]) for name, figure in RESULT["figures"].items())
    return sorted((int(match.group(1)), value) for match, value in found if match)


def panel(what, title, left):
    lines = {kind: points(what, kind) for kind in COLOURS}
    most = max(count for line in lines.values() for count, _ in line)
    decades = max(1, round(math.log10(most)))
    bottom = HEIGHT - BOTTOM

    def x(count):
        return left + PANEL * math.log10(count) / decades

    def y(value):
        share = (math.log10(value) - math.log10(LOW)) / (math.log10(HIGH) - math.log10(LOW))
        return bottom - (bottom - TOP) * min(max(share, 0), 1)

    out = [f'<text x="{left + PANEL / 2:.0f}" y="{HEIGHT - 14}" text-anchor="middle">{title}</text>']
    for decade in range(decades + 1):
        at = x(10**decade)
        out.append(f'<line x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{bottom}" class="grid"/>')
        out.append(f'<text x="{at:.1f}" y="{bottom + 18}" text-anchor="middle">{10**decade:,}</text>')
    value = LOW
    while value <= HIGH:
        out.append(f'<line x1="{left}" y1="{y(value):.1f}" x2="{left + PANEL:.1f}" y2="{y(value):.1f}" class="grid"/>')
        out.append(f'<text x="{left - 8}" y="{y(value) + 4:.1f}" text-anchor="end">{value:g}</text>')
        value *= 10
    for kind, line in lines.items():
        path = " ".join(f"{x(count):.1f},{y(value):.1f}" for count, value in line)
        out.append(f'<polyline points="{path}" fill="none" stroke="{COLOURS[kind]}" stroke-width="2"/>')
        for count, value in line:
            out.append(f'<circle cx="{x(count):.1f}" cy="{y(value):.1f}" r="3.5" fill="{COLOURS[kind]}"/>')
            out.append(f'<text x="{x(count):.1f}" y="{y(value) - 9:.1f}" text-anchor="middle" class="value">{value:.2g}</text>')
    return out


def legend():
    out, at = [], LEFT
    for kind, colour in COLOURS.items():
        out.append(f'<rect x="{at}" y="22" width="14" height="4" fill="{colour}"/>')
        out.append(f'<text x="{at + 20}" y="28">{NAMES[kind]}, median, milliseconds</text>')
        at += 230
    return out


host = RESULT["host"]
body = legend() + panel("functions", "functions in the store", LEFT) + panel("instances", "busy instances on the host", LEFT + PANEL + GAP)
svg = f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Latency of a warm and of a first call beside more and more functions and instances">
<style>text {{ font: 12px sans-serif; fill: #333 }} .value {{ font-size: 10px }} .grid {{ stroke: #ddd }}</style>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>
<text x="{WIDTH - RIGHT}" y="28" text-anchor="end">commit {RESULT["commit"].rstrip("+")}, {host["cpus"]} CPUs</text>
"""
target = ROOT / "docs/images/cost-curve.svg"
target.parent.mkdir(exist_ok=True)
target.write_text(svg + "\n".join(body) + "\n</svg>\n")
print(f"{target.relative_to(ROOT)}: drawn")
