"""Item and user text is data: cleaned of what a screen or a chat template would obey, and fenced so it cannot get out.

Pure functions of the text, so that the same item is always shown by the same characters.
"""

from __future__ import annotations

import re
import unicodedata

_KEPT_FORMAT = "\u200c\u200d"
"""Joiners: Persian, Indic scripts and emoji are written with them."""

# Chat templates give these a meaning wherever they stand; some servers tokenise them inside a message's text, too.
_TEMPLATE = re.compile(
    r"<(?=\||/?s>|/?think>|/?(?:start|end)_of_turn>|/?(?:system|user|assistant)>)|(?<=\|)>|\[(?=/?INST\])"
)
_RUN = re.compile(r"<{2,}|>{2,}")
_BLANK = re.compile(r"[ \t]+")
_BLANK_LINES = re.compile(r"\n{3,}")
_ORDINARY = re.compile(r"[ \w.,;:!?&'\"()/+$%#*=@|-]*", re.ASCII)


def clean(text: str, limit: int = 2000) -> str:
    """`text` without control, direction and hidden characters or template tokens, at most `limit` characters long.

    Line breaks and tabs stay. What is cut off is marked by "...". Lone surrogates, which no server could be sent,
    become U+FFFD.
    """
    # Cut first, with room for what cleaning removes: a hostile text may be a megabyte long.
    text = text[: 4 * limit]
    if not _ORDINARY.fullmatch(text):
        text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n")
        if not text.replace("\n", " ").isprintable():
            text = "".join(_printable(character) for character in text)
        text = _TEMPLATE.sub(lambda match: f"{match[0]} " if match[0] != ">" else " >", text)
        text = _BLANK_LINES.sub("\n\n", text)
    text = _BLANK.sub(" ", text).strip()
    return text if len(text) <= limit else text[: max(limit - 3, 0)].rstrip() + "..."


def inline(text: str, limit: int = 200) -> str:
    """`text` cleaned, on one line, between << and >>; inside, neither mark occurs, so the text cannot close its fence.

    One line, because a title with a line break could otherwise add an item to a list of items.
    """
    line = _RUN.sub(lambda match: " ".join(match[0]), " ".join(clean(text, limit).split()))
    # A single mark at the edge would grow together with the fence.
    return f"<<{' ' * line.startswith('<')}{line}{' ' * line.endswith('>')}>>"


def fence(text: str, limit: int = 2000) -> str:
    """`text` cleaned, between two lines of backticks, one more than any run inside it: the text cannot close them."""
    cleaned = clean(text, limit)
    longest = max((len(run) for run in re.findall(r"`+", cleaned)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}\n{cleaned}\n{ticks}"


def _printable(character: str) -> str:
    if character in "\n\t" or character in _KEPT_FORMAT:
        return character
    match unicodedata.category(character):
        case "Cc":
            return " "
        case "Cf":
            return ""
        case "Cs":
            return "\ufffd"
    return character
