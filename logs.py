"""Logs on stderr: one line an event, as text or as JSON, with every API key taken out."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

from .redaction import RedactingFilter

_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
"""What every log record has; anything else was given with `extra=` and is part of the event."""


def set_up_logs(level: str = "warning", *, as_json: bool = False, stream: TextIO | None = None) -> logging.Handler:
    """Let the loggers of recloop write to `stream` (None: stderr) from `level` on; a second call replaces the first.

    A library does not do this by itself: the command line does, and a program that wants our logs its own way leaves
    it out.
    """
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(JsonLines() if as_json else Lines())
    handler.addFilter(RedactingFilter())
    ours = logging.getLogger(__package__ or "recloop")
    for old in [old for old in ours.handlers if isinstance(old.formatter, Lines | JsonLines)]:
        ours.removeHandler(old)
    ours.addHandler(handler)
    ours.setLevel(level.upper())
    ours.propagate = False
    return handler


class JsonLines(logging.Formatter):
    """{"time", "level", "logger", "event", ...}: what was given with `extra=` stands beside them."""

    def format(self, record: logging.LogRecord) -> str:
        event = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **_given(record),
        }
        if record.exc_text:
            event["exception"] = record.exc_text
        return json.dumps(event, ensure_ascii=False, default=str)


class Lines(logging.Formatter):
    """The same for people: time, level, event, then name=value."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        more = "".join(f" {name}={value}" for name, value in _given(record).items())
        text = f"{at} {record.levelname.lower()} {record.getMessage()}{more}"
        return f"{text}\n{record.exc_text}" if record.exc_text else text


def _given(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in record.__dict__.items() if name not in _OWN}
