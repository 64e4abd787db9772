"""Reads files of one record a line: JSON objects, or Python dicts as some Amazon files of 2014 have them."""

from __future__ import annotations

import ast
import json
import zlib
from collections.abc import Iterator
from typing import Any

from ...errors import DataError
from .files import File, refuse

SUFFIXES = (".json", ".jsonl", ".ndjson")


def is_json_lines(file: File) -> bool:
    """Whether the name says that the file holds a record a line."""
    return file.name.removesuffix(".gz").endswith(SUFFIXES)


def lines(file: File, encoding: str = "utf-8") -> Iterator[tuple[int, str]]:
    """(line number from 1, text without surrounding blanks) of every line that is not blank."""
    line = 0
    try:
        with file.open() as stream:
            for line, raw in enumerate(stream, start=1):
                if text := raw.decode("utf-8-sig" if line == 1 and encoding == "utf-8" else encoding).strip():
                    yield line, text
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file}: line {line} is not {encoding} ({error.reason}); convert the file or remove the line"
        ) from error
    except (OSError, EOFError, zlib.error) as error:
        refuse(file, error)


def records(file: File) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number from 1, record) of every line that is not blank; DataError names file and line."""
    for line, text in lines(file):
        yield line, record(file, line, text)


def record(file: File, line: int, text: str) -> dict[str, Any]:
    """The object in one line. DataError when it is none."""
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            if line == 1 and text in ("[", "{", "[{"):
                raise DataError(
                    f"{file} is one JSON value over several lines; write one record a line, for example with "
                    "pandas.read_json(...).to_json(..., orient='records', lines=True)"
                ) from None
            raise DataError(
                f"{file}: line {line} is no JSON record ({error.msg} at character {error.pos + 1}); "
                f"mend or remove the line"
            ) from None
    if isinstance(value, list):
        raise DataError(
            f"{file}: line {line} is no record but a list; write one record a line, for example with "
            "pandas.read_json(...).to_json(..., orient='records', lines=True)"
        )
    if not isinstance(value, dict):
        raise DataError(f"{file}: line {line} is no record of the form {{...}}; one record a line was expected")
    return value
