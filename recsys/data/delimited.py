"""Reads columns of a delimited text file at the speed of Arrow, and names the line at fault when that fails.

The fast way knows that a file is wrong but not where. So a failure is followed by a second, slow reading that stops at
the first line that is wrong and says what to do about it. The user of a sound file never pays for it.
"""

from __future__ import annotations

import csv
import io
import logging
import math
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, NoReturn

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from ...errors import DataError
from .columns import SEPARATORS, require
from .files import File, known_encoding, refuse

_logger = logging.getLogger(__name__)

ID = pa.dictionary(pa.int32(), pa.string())
"""Identifiers as text, exactly as written (`007` is not `7`), at four bytes a row."""

_ONE = "\x1f"
"""Stands for a separator of several characters (`::`): ASCII's own unit separator, which no text holds."""


@dataclass(frozen=True, slots=True)
class Format:
    """How a delimited file is written: `separator`, whether quotes enclose fields, the encoding, and whether the first
    line names the columns (`names` is None) or the file has no such line (`names` gives them). `escape`: the character
    that stands before a quote or separator inside a field; None: a quote inside a quoted field is doubled."""

    separator: str = ","
    quoted: bool = True
    encoding: str = "utf-8"
    names: tuple[str, ...] | None = None
    escape: str | None = None


def header(file: File, form: Format) -> list[str]:
    """The names of the columns; DataError when the file is empty or names one column twice."""
    if form.names is not None:
        return list(form.names)
    _, first = next(_lines(file, form), (0, []))
    if not first:
        raise DataError(f"{file} is empty; a line with the names of its columns was expected")
    twice = sorted({name for name in first if first.count(name) > 1})
    if twice:
        raise DataError(f"{file}: line 1 names the column {twice[0]!r} twice; rename one")
    return first


def first_row(file: File, form: Format) -> dict[str, str]:
    """The first row under the header, or {} when there is none: what a reader peeks at to tell formats apart."""
    names = header(file, form)
    rows = _lines(file, form)
    if form.names is None:
        next(rows)
    return dict(zip(names, next(rows, (0, []))[1], strict=False))


def width(file: File, form: Format) -> int:
    """How many fields the first line has; DataError when the file is empty."""
    _, first = next(_lines(file, form), (0, []))
    if not first:
        raise DataError(f"{file} is empty; rows of fields were expected")
    return len(first)


def separator_of(file: File, encoding: str = "utf-8", wanted: str | None = None) -> str:
    """The separator of a delimited file, from its first line.

    The usual one of the file's name (`wanted`; else a tab for .tsv, .tab and .txt, a comma otherwise) if the line has
    it; else the one of `SEPARATORS` that gives the most fields, and a warning that says so.
    """
    tabs = file.name.removesuffix(".gz").endswith((".tsv", ".tab", ".txt"))
    usual = wanted or ("\t" if tabs else ",")
    counts = {sign: len(next(_lines(file, Format(sign, encoding=encoding)), (0, [""]))[1]) for sign in SEPARATORS[:-1]}
    if usual not in counts or counts[usual] > 1:
        return usual
    best = max(counts, key=lambda sign: counts[sign])
    if counts[best] < 2:
        counts = {" ": len(next(_lines(file, Format(" ", encoding=encoding)), (0, [""]))[1])}
        best = " "
    if counts[best] < 2:
        return usual
    _logger.warning("%s: %r separates the fields of the first line; set `separator` if another does", file, best)
    return best


def read(
    file: File,
    types: Mapping[str, pa.DataType],
    form: Format | None = None,
    checks: Mapping[str, Callable[[str], object]] | None = None,
    gaps: Collection[str] = (),
) -> pa.Table:
    """The columns named in `types`, in that order; a number must be there and finite, an `ID` must not be empty.

    The columns of real numbers named in `gaps` may have empty fields, which are null.
    `checks` hold, for a text column, the function that will read its values: a ValueError from it tells the slow
    reading which line to name. DataError names file, line, column and value.
    """
    form = form or Format()
    checks = dict.fromkeys(gaps, _number_or_gap) | dict(checks or {})
    known_encoding(form.encoding)
    names = header(file, form)
    require(file, names, list(types))
    try:
        table = _fast(file, types, form, names)
    except (pa.ArrowInvalid, UnicodeError) as error:
        find_fault(file, types, form, checks, str(error))
    except (OSError, EOFError, zlib.error) as error:
        refuse(file, error)
    for name, kind in types.items():
        if not _sound(table[name], kind, name in gaps):
            find_fault(file, types, form, checks, f"column {name!r} holds a missing value")
    return table


def find_fault(
    file: File,
    types: Mapping[str, pa.DataType],
    form: Format,
    checks: Mapping[str, Callable[[str], object]],
    reason: str,
) -> NoReturn:
    """Read the file slowly and raise the DataError for its first faulty line; `reason` if every line seems sound."""
    names = header(file, form)
    rows = _lines(file, form)
    if form.names is None:
        next(rows)
    places = [(name, names.index(name), _parser(kind, checks.get(name))) for name, kind in types.items()]
    for line, row in rows:
        if len(row) != len(names):
            quotes = (
                "; a stray quote may have swallowed its neighbours" if form.quoted and len(row) < len(names) else ""
            )
            if form.quoted and form.escape is None and any("\\" in field for field in row):
                quotes += "; where a backslash stands before quotes, set `escape: '\\'`"
            raise DataError(
                f"{file}: line {line} has {len(row)} fields, {len(names)} were expected "
                f"({form.separator!r} separates them{quotes}); mend or remove the line"
            )
        for name, place, parse in places:
            try:
                parse(row[place])
            except ValueError as error:
                raise DataError(
                    f"{file}: line {line}, column {name!r}: {row[place]!r} {error}; mend or remove the line"
                ) from None
    raise DataError(f"{file} cannot be read: {reason}")


def _fast(file: File, types: Mapping[str, pa.DataType], form: Format, names: list[str]) -> pa.Table:
    with arrow_input(file, form) as stream:
        return arrow_csv.read_csv(
            stream,
            read_options=arrow_csv.ReadOptions(
                column_names=names,
                skip_rows=0 if form.names is not None else 1,
                encoding=form.encoding.removesuffix("-sig"),
                block_size=4 << 20,
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=single_separator(form),
                quote_char='"' if form.quoted else False,
                newlines_in_values=form.quoted,
                escape_char=form.escape or False,
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict(types), include_columns=list(types), strings_can_be_null=False
            ),
        ).unify_dictionaries()


def _sound(column: pa.ChunkedArray, kind: pa.DataType, gaps: bool) -> bool:
    if column.null_count and not gaps:
        return False
    if pa.types.is_dictionary(kind):
        return not any("" in chunk.dictionary.to_pylist() for chunk in column.chunks[:1])
    if pa.types.is_floating(kind):
        return pc.all(pc.is_finite(column)).as_py() is not False
    return True


def _parser(kind: pa.DataType, check: Callable[[str], object] | None) -> Callable[[str], object]:
    if check is not None:
        return check
    if pa.types.is_integer(kind):
        return lambda text: _integer(text, kind.bit_width)
    if pa.types.is_floating(kind):
        return _number
    return _identifier if pa.types.is_dictionary(kind) else str


def _integer(text: str, bits: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise ValueError("is not a whole number") from None
    if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise ValueError(f"does not fit into {bits} bits")
    return value


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError("is not a number") from None
    if not math.isfinite(value):
        raise ValueError("is not a finite number")
    return value


def _number_or_gap(text: str) -> float:
    return _number(text) if text and text not in arrow_csv.ConvertOptions().null_values else math.nan


def _identifier(text: str) -> str:
    if not text:
        raise ValueError("is empty, but an id is needed")
    return text


def _lines(file: File, form: Format) -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, fields) of every line that is not blank; DataError at bytes the encoding cannot read."""
    known_encoding(form.encoding)
    with opened(file, form) as stream:
        encoding = "utf-8-sig" if form.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else form.encoding
        text = io.TextIOWrapper(stream, encoding=encoding, newline="")
        rows = csv.reader(
            text,
            delimiter=single_separator(form),
            quoting=csv.QUOTE_MINIMAL if form.quoted else csv.QUOTE_NONE,
            escapechar=form.escape,
        )
        try:
            for row in rows:
                if row:
                    yield rows.line_num, row
        except UnicodeError as error:
            _bad_bytes(file, form, error)
        except csv.Error as error:
            raise DataError(f"{file}: line {rows.line_num}: {error}; mend or remove the line") from error
        except (OSError, EOFError, zlib.error) as error:
            refuse(file, error)


def _bad_bytes(file: File, form: Format, error: UnicodeError) -> NoReturn:
    remedy = "name the right encoding, for example `encoding: latin-1`"
    with file.open() as stream:
        for number, raw in enumerate(stream, start=1):
            if raw[:2] in (b"\xff\xfe", b"\xfe\xff") and number == 1:
                raise DataError(f"{file} begins as UTF-16 does, not as {form.encoding}; set `encoding: utf-16`")
            try:
                raw.decode(form.encoding)
            except UnicodeDecodeError as fault:
                byte = raw[fault.start]
                raise DataError(f"{file}: line {number}: byte 0x{byte:02x} is not {form.encoding}; {remedy}") from None
            except UnicodeError:
                break
    raise DataError(f"{file} is not {form.encoding} ({error}); {remedy}") from error


def single_separator(form: Format) -> str:
    """The character that separates fields in the stream of `opened`."""
    return form.separator if len(form.separator) == 1 else _ONE


def opened(file: File, form: Format) -> IO[bytes]:
    """The bytes of the file, a separator of several characters replaced by a single one."""
    raw = file.open()
    if len(form.separator) == 1:
        return raw
    return io.BufferedReader(_OneCharacter(raw, form.separator.encode()), 1 << 20)


def arrow_input(file: File, form: Format) -> IO[bytes] | pa.NativeFile:
    """The same for Arrow's readers: a stream of its own, where the file is plain or under gzip.

    Arrow reads ahead in a thread. Where that thread calls Python and a fault ends the command meanwhile, the process is
    aborted at its end (exit 134) instead of leaving with the message's status.
    """
    stream = opened(file, form)
    if len(form.separator) > 1 or file.member is not None:
        return stream
    stream.close()
    return pa.input_stream(str(file.path), compression="gzip" if file.path.suffix == ".gz" else None)


class _OneCharacter(io.RawIOBase):
    """A stream with a separator of several bytes replaced by a single one; Arrow and csv take only such."""

    def __init__(self, source: IO[bytes], separator: bytes) -> None:
        self._source, self._separator, self._ready = source, separator, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._ready:
            whole_lines = self._source.read(1 << 20) + self._source.readline()
            self._ready = memoryview(whole_lines.replace(self._separator, _ONE.encode()))
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def close(self) -> None:
        self._source.close()
        super().close()
