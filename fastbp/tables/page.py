"""A page of HTML that loads nothing and runs nothing, and what it is made of.

All functions take plain text and escape it. Names of a file are to be `shown` first; `isolated`
keeps the direction of a name from turning the sentence around it.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from .wording import number, shown

__all__ = [
    "beside",
    "block",
    "confusion",
    "document",
    "figure",
    "folded",
    "heading",
    "isolated",
    "items",
    "paragraph",
    "rest",
    "small",
    "table",
]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
# Labels with more letters together are written upwards above the confusion table.
MOST_LETTERS_ACROSS = 70
CSS = """
:root { color-scheme: light dark; --page: #fff; --text: #1c1c1c; --soft: #5c5c5c;
  --line: #d8d8d8; --panel: #f4f6f8; --blue: #3b82c4; --warn: #d9762b; }
@media (prefers-color-scheme: dark) { :root { --page: #16181b; --text: #e8e8e8;
  --soft: #a8a8a8; --line: #3a3f45; --panel: #1f2328; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .6rem; padding-top: .6rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p, ul { margin: .4rem 0; max-width: 46rem; }
a { color: inherit; }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1rem; padding: 0; list-style: none; }
.soft, figcaption { color: var(--soft); font-size: .9rem; }
.verdict { background: var(--panel); border-left: 4px solid var(--blue); padding: .7rem 1rem;
  margin: 1rem 0; max-width: none; }
.verdict.warn { border-color: var(--warn); }
.scroll { overflow-x: auto; max-width: 100%; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .9rem;
  overflow-wrap: normal; }
th, td { padding: .22rem .7rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top; white-space: nowrap; }
th { font-weight: 600; }
thead th { vertical-align: bottom; border-bottom: 2px solid var(--line); }
.left { text-align: left; }
.wrap { text-align: left; white-space: normal; min-width: 14rem; overflow-wrap: anywhere; }
.confusion td { min-width: 2.6rem; text-align: center; }
.confusion thead th { text-align: center; }
.confusion .up { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left;
  padding: .5rem .2rem; }
.confusion .none { color: var(--soft); }
.confusion .right { background: color-mix(in srgb, var(--blue) var(--share), transparent); }
.confusion .wrong { background: color-mix(in srgb, var(--warn) var(--share), transparent); }
.beside { display: flex; flex-wrap: wrap; gap: 0 3rem; align-items: flex-start; }
.beside > * { min-width: 0; max-width: 100%; }
figure { margin: .5rem 0; flex: 1 1 20rem; width: 29rem; max-width: 29rem !important; }
@media (max-width: 40rem) { th, td { padding: .2rem .35rem; } table { font-size: .85rem; }
  figure { max-width: 100% !important; } }
summary { cursor: pointer; margin: .5rem 0; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
svg text { font-family: inherit !important; }
pre { background: var(--panel); padding: .7rem 1rem; overflow-x: auto; font-size: .85rem; }
@media print { body { font-size: 11pt; } nav { display: none; }
  main { max-width: none; padding: 0; } .scroll { overflow: visible; }
  h2, h3 { break-after: avoid; } figure, tr, .verdict { break-inside: avoid; } }
"""


def document(
    title: str, subtitle: str, verdict: str, good: bool, sections: Mapping[str, str]
) -> str:
    """Return the whole page; the sections, which are HTML, by their titles."""
    names = {title: title.lower().replace(" ", "-") for title in sections}
    links = "".join(f'<li><a href="#{name}">{escape(t)}</a></li>' for t, name in names.items())
    body = "".join(
        f'<section id="{names[title]}">\n<h2>{escape(title)}</h2>\n{section}</section>\n'
        for title, section in sections.items()
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(title)}</title>\n<link rel="icon" href="data:,">\n'
        f"<style>{CSS}</style>\n</head>\n<body>\n<main>\n<h1>{escape(title)}</h1>\n"
        f'{small(subtitle)}<p class="verdict{"" if good else " warn"}">{escape(verdict)}</p>\n'
        f'<nav aria-label="Sections"><ul>{links}</ul></nav>\n{body}</main>\n</body>\n</html>\n'
    )


def isolated(name: object, most: int = 60) -> str:
    """Return a name for the middle of a sentence, which is plain text still."""
    return f"\u2068{shown(name, most)}\u2069"


def heading(plain: str) -> str:
    """Return a heading within a section."""
    return f"<h3>{escape(plain)}</h3>\n"


def paragraph(plain: str) -> str:
    """Return a paragraph."""
    return f"<p>{escape(plain)}</p>\n"


def small(plain: str) -> str:
    """Return a paragraph that stands back."""
    return f'<p class="soft">{escape(plain)}</p>\n'


def rest(n: int, what: str) -> str:
    """Return how many more there are than were shown, if there are more."""
    return small(f"And {number(n)} more {what}.") if n > 0 else ""


def items(lines: Sequence[str]) -> str:
    """Return a list."""
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>\n"


def block(plain: str) -> str:
    """Return lines that stay as they are."""
    return f'<pre tabindex="0">{escape(plain)}</pre>\n'


def figure(svg: str, caption: str) -> str:
    """Return a figure with its caption."""
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>\n"


def beside(*parts: str) -> str:
    """Return figures and tables beside each other where there is room."""
    boxes = (part if part.startswith("<figure") else f"<div>{part}</div>\n" for part in parts)
    return f'<div class="beside">\n{"".join(boxes)}</div>\n'


def folded(summary: str, html: str) -> str:
    """Return what is seen after a click."""
    return f"<details><summary>{escape(summary)}</summary>\n{html}</details>\n"


def table(
    rows: Sequence[Sequence[str]], name: str, left: Container[int] = (0,), wrap: int = -1
) -> str:
    """Return rows of cells, a head first, as a table that scrolls where it is wide.

    The columns `left` and `wrap` are words, the others numbers; lines are broken in `wrap` alone.
    """
    kinds = [
        ' class="wrap"' if i == wrap else ' class="left"' if i in left else ""
        for i in range(len(rows[0]))
    ]
    head, *others = (
        "".join(
            f"<{tag}{kind}><bdi>{escape(cell)}</bdi></{tag[:2]}>"
            for kind, cell in zip(kinds, row, strict=True)
        )
        for tag, row in (("td" if n else 'th scope="col"', row) for n, row in enumerate(rows))
    )
    return _scrolling(head, others, name)


def confusion(counts: NDArray[np.int64], most: Sequence[int], labels: Sequence[str]) -> str:
    """Return the confusion table of the classes `most`, all others joined as the last one."""
    names = [labels[code] for code in most]
    if len(most) < len(labels):
        groups = np.full(len(labels), len(most))
        groups[list(most)] = range(len(most))
        joined = np.zeros((len(most) + 1, len(most) + 1), np.int64)
        np.add.at(joined, (groups[:, None], groups), counts)
        counts, names = joined, [*names, "all others"]
    up = ' class="up"' if sum(map(len, names)) > MOST_LETTERS_ACROSS else ""
    head = "<td></td>" + "".join(
        f'<th{up} scope="col"><bdi>{escape(name)}</bdi></th>' for name in names
    )
    lines = []
    for i, name in enumerate(names):
        line = f'<th class="left" scope="row"><bdi>{escape(name)}</bdi></th>'
        for j, n in enumerate(counts[i].tolist()):
            # So strong that a single error is seen, and that the number on it is read.
            share = round(10 + 50 * n / max(int(counts[i].sum()), 1)) if n else 0
            kind = "right" if i == j else "wrong" if n else "none"
            line += f'<td class="{kind}" style="--share:{share}%">{number(n)}</td>'
        lines.append(line)
    return _scrolling(head, lines, "Confusion table", ' class="confusion"')


def _scrolling(head: str, lines: Sequence[str], name: str, kind: str = "") -> str:
    body = "".join(f"<tr>{line}</tr>\n" for line in lines)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}"><table{kind}>'
        f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n"
    )
