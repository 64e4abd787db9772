"""Turns texts of items as shops publish them into plain text: HTML entities decoded, tags and scripts taken out."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

import pandas as pd

_TAG = re.compile(r"</?[A-Za-z][^<>]*>|<!--")
_PAGE_CODE = re.compile(r"\bvar\s+\w+\s*=.*(?:new Date|function\s*\(|document\.|window\.)", re.S)
"""JavaScript of a page that was stored in place of a text (Amazon 2018: `var aPageStart = (new Date()).getTime();`)."""
_SUSPECT = r"[&<]|\bvar\s"
_SKIPPED = ("script", "style")


def plain_text(text: str) -> str:
    """The text without entities, tags, scripts and page code; unchanged, but for blanks at its ends, if it has none."""
    if _TAG.search(text):
        parser = _Text()
        parser.feed(text)
        parser.close()
        text = " ".join("".join(parser.pieces).split())
    text = html.unescape(text)
    return "" if _PAGE_CODE.search(text) else text.strip()


def without_markup(table: pd.DataFrame, key: str) -> pd.DataFrame:
    """The table with `plain_text` of every text in it, but for the ids in column `key`."""
    for column in table.columns.drop(key):
        if isinstance(table[column].dtype, pd.CategoricalDtype) or table[column].dtype.kind in "iufbM":
            continue
        texts = table[column].astype(object)
        suspect = texts.astype(str).str.contains(_SUSPECT, regex=True).to_numpy(bool)
        if suspect.any():
            texts[suspect] = [plain_text(text) if isinstance(text, str) else text for text in texts[suspect]]
            table = table.assign(**{str(column): texts.astype(table[column].dtype)})
    return table


class _Text(HTMLParser):
    """Collects the text between tags; entities are left to the caller."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._skipped = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._skipped += tag in _SKIPPED
        if tag in ("br", "p", "div", "li"):
            self.pieces.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._skipped = max(0, self._skipped - (tag in _SKIPPED))

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self.pieces.append(data)
