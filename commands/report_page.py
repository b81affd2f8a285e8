"""A report as one file: pictures, tables and the data behind them, opened from disk without a network."""

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from domain.bounds import REPORT_ROWS_MAX
from projections.drawing import Drawn

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
_ASSETS = Path(__file__).parent / "assets"


class Section(NamedTuple):
    """One picture with its query and rows; `svg` is drawn without JavaScript."""

    name: str
    drawn: Drawn
    sql: str = ""
    rows: Sequence[dict[str, Any]] = ()
    svg: str = ""
    text: str = ""


class Page(NamedTuple):
    """A report. Cards are words and values at its head."""

    title: str
    subtitle: str
    cards: Sequence[tuple[str, str]]
    sections: Sequence[Section]
    footer: str


def html(page: Page) -> str:
    """The file. The same page is the same bytes."""
    data = {
        f"plot-{each.name}": {"traces": each.drawn.traces, "layout": each.drawn.layout}
        for each in page.sections
        if each.drawn.traces
    }
    plotly = (resources.files("plotly") / "package_data" / "plotly.min.js").read_text("utf-8") if data else ""
    scripts = [plotly, (_ASSETS / "report.js").read_text("utf-8")] if data else []
    allowed = " ".join(f"'sha256-{_digest(each)}'" for each in scripts) or "'none'"
    policy = f"{_POLICY}; script-src {allowed}"
    style = (_ASSETS / "report.css").read_text("utf-8")
    cards = "".join(f'<div class="card">{escape(name)}<b>{escape(value)}</b></div>' for name, value in page.cards)
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(page.title)}</title><style>{style}</style></head><body>",
        f'<h1>{escape(page.title)}</h1><p class="sub">{escape(page.subtitle)}</p><div class="cards">{cards}</div>',
        *(_section(each) for each in page.sections),
        f"<footer><p>{escape(page.footer)}</p></footer>",
    ]
    if data:
        text = json.dumps(data, default=_plain, sort_keys=True, separators=(",", ":")).replace("<", "\\u003c")
        parts.append(f'<script type="application/json" id="data">{text}</script>')
        parts += [f"<script>{each}</script>" for each in scripts]
    return "".join([*parts, "</body></html>\n"])


def _section(section: Section) -> str:
    drawn = section.drawn
    parts = [f'<section id="{section.name}"><h2>{drawn.title}</h2>']
    if section.text:
        parts.append(f"<pre>{escape(section.text)}</pre>")
    parts.append(section.svg)
    if drawn.traces:
        parts.append(f'<div class="plot" id="plot-{section.name}" role="img" aria-label="{drawn.title}"></div>')
    if section.rows:
        parts.append(f"<details><summary>{_count(section)}</summary>{_table(section.rows[:REPORT_ROWS_MAX])}</details>")
    if section.sql:
        parts.append(f"<details><summary>the query</summary><pre>{escape(section.sql)}</pre></details>")
    return "".join([*parts, "</section>"])


def _count(section: Section) -> str:
    rows = len(section.rows)
    shown = f", the first {REPORT_ROWS_MAX} of them" if rows > REPORT_ROWS_MAX else ""
    return f"{rows} rows{shown}; n = {section.drawn.n}"


def _table(rows: Sequence[dict[str, Any]]) -> str:
    head = "".join(f"<th>{escape(str(name))}</th>" for name in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(_plain(value)))}</td>" for value in row.values()) + "</tr>" for row in rows
    )
    return f'<div class="table"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _plain(value: object) -> object:
    if value is None:
        return ""
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    return value if isinstance(value, int | float | str | bool) else str(value)


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
