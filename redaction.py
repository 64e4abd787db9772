"""No API key leaves the process: keys are read here, and taken out of every text that is logged, stored or raised."""

from __future__ import annotations

import logging
import os
import re

from .errors import ConfigError

_SECRET_NAME = re.compile(r"(API_?KEY|ACCESS_?KEY|TOKEN|SECRET|PASSWORD|CREDENTIALS?)$", re.IGNORECASE)
_SECRET_SHAPES = re.compile(
    r"(?i)(\bbearer\s+)[\w.~+/=-]{8,}|(://)[^\s/@:]+:[^\s/@]+(?=@)|\b(sk-|hf_|gsk_|xai-)[\w-]{12,}"
)
# Shorter values ("1", "true") are switches under a secret-sounding name, and would blot out ordinary text.
_SHORTEST_SECRET = 6
_known: set[str] = set()


def api_key(variable: str | None) -> str | None:
    """The key in the environment variable `variable`; None where none is named (a local server may need none).

    Raises ConfigError, naming the variable, where it is named but not set.
    """
    if variable is None:
        return None
    value = os.environ.get(variable, "").strip()
    if not value:
        raise ConfigError(
            f"environment variable {variable} holds no API key: set it, or name another one in llm.api_key_env "
            "(leave that out for a server that needs no key)"
        )
    _known.add(value)
    return value


def redact(text: str) -> str:
    """`text` with every key of the environment, and whatever looks like one, replaced by [redacted]."""
    for secret in sorted(_secrets(), key=len, reverse=True):
        text = text.replace(secret, "[redacted]")
    return _SECRET_SHAPES.sub(lambda match: f"{match[1] or match[2] or match[3] or ''}[redacted]", text)


class RedactingFilter(logging.Filter):
    """Takes keys out of a log record, its exception included; put it on every handler."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = redact(record.getMessage()), ()
        for name, value in record.__dict__.items():
            # What was given with `extra=`, too.
            if isinstance(value, str) and name != "msg":
                record.__dict__[name] = redact(value)
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            record.exc_text = redact(record.exc_text)
        return True


def _secrets() -> set[str]:
    named = {value.strip() for name, value in os.environ.items() if _SECRET_NAME.search(name)}
    return {secret for secret in named | _known if len(secret) >= _SHORTEST_SECRET}
