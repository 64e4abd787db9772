"""A report as one HTML file: Markdown rendered, figures inline, nothing loaded from elsewhere, light and dark."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from markdown_it import MarkdownIt

STYLE = """
:root { color-scheme: light dark; --text: #1c2024; --back: #ffffff; --faint: #697077; --line: #d5d9de;
  --mark: #1261c4; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e4e7ea; --back: #16191d; --faint: #98a1ab; --line: #3a4048; --mark: #6cb0ff; }
}
body { font: 15px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); max-width: 66rem;
  margin: 2rem auto; padding: 0 1rem; }
h1, h2, h3 { line-height: 1.25; }
h2 { margin-top: 2.2rem; border-bottom: 1px solid var(--line); padding-bottom: .2rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); text-align: left; white-space: nowrap; }
pre { background: color-mix(in srgb, var(--line) 35%, transparent); padding: .8rem; overflow-x: auto;
  font-size: .85rem; }
svg.forest { width: 100%; max-width: 860px; height: auto; font: 13px system-ui, sans-serif; }
svg.forest text { fill: var(--text); } svg.forest .model { font-weight: 600; }
svg.forest .tick { fill: var(--faint); font-size: 12px; } svg.forest .figure { font-size: 12px; }
svg.forest .bar { stroke: var(--mark); stroke-width: 2; } svg.forest .axis { stroke: var(--line); }
svg.forest .zero { stroke: var(--faint); stroke-dasharray: 4 3; }
svg.forest .point { fill: var(--mark); stroke: var(--mark); stroke-width: 2; }
svg.forest .open { fill: var(--back); }
"""


def html_page(title: str, text: str, figures: Mapping[str, str] | None = None) -> str:
    """The page of a Markdown report. figures: heading -> SVG or HTML that is put right below the heading.

    Raw HTML in `text` is shown as text: titles and prompts in a report run nothing.
    """
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    body = body.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    for heading, figure in (figures or {}).items():
        tag = f"<h2>{escape(heading)}</h2>"
        body = body.replace(tag, f"{tag}\n{figure}", 1)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>\n<body>\n{body}</body></html>\n"
    )
