#!/usr/bin/env python3
"""Draws what a command printed as a terminal: reads text, writes an SVG.

    sendport probe 127.0.0.1:2525 --to ops@contoso.com | scripts/terminal.py 'sendport probe ...' > docs/probe.svg
"""

import html
import re
import sys

LINE, CHARACTER, MARGIN = 17, 7.7, 14
COLOURS = [
    (re.compile(r"^ {21}(cause|to do|fault):.*|^ {20} {8,}\S.*"), "#e5c07b"),
    (re.compile(r".{20} ?! .*"), "#e06c75"),
    (re.compile(r".{20} ?> .*"), "#98c379"),
    (re.compile(r".{20} ?< [45].*"), "#e06c75"),
    (re.compile(r".*(failed at|would take mail|sent to).*"), "#ffffff"),
]


def colour(line):
    return next((found for pattern, found in COLOURS if pattern.match(line)), "#abb2bf")


def draw(lines):
    width = round(max(len(line) for line in lines) * CHARACTER + 2 * MARGIN)
    height = len(lines) * LINE + 2 * MARGIN
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(lines[0])}">'
    )
    yield f'<rect width="{width}" height="{height}" rx="8" fill="#1e2127"/>'
    yield '<g font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="12.8" style="white-space:pre" xml:space="preserve">'
    for number, line in enumerate(lines):
        y = MARGIN + LINE * (number + 0.75)
        yield f'<text x="{MARGIN}" y="{y:g}" fill="{colour(line)}">{html.escape(line)}</text>'
    yield "</g></svg>"


print(*draw([f"$ {sys.argv[1]}"] + sys.stdin.read().rstrip("\n").split("\n")), sep="\n")
