"""How results are printed: JSON for machines, tables for people."""

from __future__ import annotations

import json
import math
import sys
from typing import Any

from rich.console import Console
from rich.table import Table


def console(width: int) -> Console:
    """A console as wide as the terminal, or so many columns where the output goes to a file."""
    return Console(width=None if sys.stdout.isatty() else width)


def print_json(value: Any) -> None:
    print(json.dumps(_defined(value), indent=2, ensure_ascii=False, default=str, allow_nan=False))


def _defined(value: Any) -> Any:
    """Undefined figures as null: JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _defined(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_defined(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_facts(facts: dict[str, Any]) -> None:
    table = Table(show_header=False)
    for name, value in facts.items():
        table.add_row(
            name, json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict) else str(value)
        )
    Console().print(table)
