"""How results look in a notebook: what the terminal shows, or a table of facts, as HTML."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from rich.console import Console

WIDTH = 140
"""Columns of a result that is rendered as the terminal shows it; a notebook scrolls sideways beyond its own width."""


def html_of(show: Callable[[Console], None]) -> str:
    """What `show` prints to a console, as HTML."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_jupyter=False)
    show(console)
    style = "line-height: 1.2; overflow-x: auto; font-family: Menlo, Consolas, 'DejaVu Sans Mono', monospace"
    return console.export_html(inline_styles=True, code_format=f'<pre style="{style}">{{code}}</pre>')


def html_of_facts(facts: Mapping[str, Any], title: str = "") -> str:
    """A table of two columns, name and value; mappings become tables of their own. All text is escaped."""
    left = 'style="text-align: left"'
    rows = "".join(
        f"<tr><th {left}>{escape(str(name))}</th><td {left}>{_cell(value)}</td></tr>" for name, value in facts.items()
    )
    caption = f"<caption>{escape(title)}</caption>" if title else ""
    return f"<table>{caption}{rows}</table>"


class Facts(dict[str, Any]):
    """A result of plain values: a dict, which a notebook shows as a table."""

    def _repr_html_(self) -> str:
        return html_of_facts(self)


def _cell(value: Any) -> str:
    match value:
        case Mapping() if value:
            return html_of_facts(value)
        case list() | tuple() if value and all(isinstance(entry, Mapping) for entry in value):
            return "".join(map(html_of_facts, value))
        case float():
            return f"{value:.6g}"
    return escape(str(value))
