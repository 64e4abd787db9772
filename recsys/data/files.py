"""`File`: a data file that lies in a folder, in a zip or under gzip, and is named the same way in every message."""

from __future__ import annotations

import codecs
import gzip
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn, cast

from ...errors import DataError


@dataclass(frozen=True, slots=True)
class File:
    """One file of bytes: `path` itself (a `.gz` is unpacked on the way), or `member` of the zip at `path`."""

    path: Path
    member: str | None = None

    @property
    def name(self) -> str:
        """The name without its folders, as `ratings.csv`."""
        return (self.member or self.path.as_posix()).rsplit("/", 1)[-1]

    @property
    def depth(self) -> int:
        """Folders above the file."""
        return (self.member or self.path.as_posix()).count("/")

    def __str__(self) -> str:
        return f"{self.path}:{self.member}" if self.member else str(self.path)

    def open(self) -> IO[bytes]:
        """A stream of the bytes, unpacked. DataError when there is no such file or the archive is damaged."""
        try:
            if self.member is not None:
                stream = zipfile.ZipFile(self.path).open(self.member)  # noqa: SIM115
                return cast(IO[bytes], gzip.GzipFile(fileobj=stream)) if self.member.endswith(".gz") else stream
            return cast(IO[bytes], gzip.open(self.path)) if self.path.suffix == ".gz" else self.path.open("rb")
        except RuntimeError as error:  # what zipfile says of a member that is under a password
            raise DataError(f"{self}: {error}; unpack it and give the folder") from error
        except (OSError, zipfile.BadZipFile) as error:
            refuse(self.path, error)


def one(path: str | Path) -> File:
    """The file at `path`, or the only file in the zip at `path`; DataError when there is none, a folder, or several."""
    place = Path(path).expanduser()
    if place.is_dir():
        raise DataError(f"{place} is a folder; name the file in it that is to be read")
    if not place.exists():
        raise DataError(f"{place}: no such file; check the path{_nearby(place)}")
    if place.suffix == ".zip":
        members = within(place)
        if len(members) != 1:
            listed = ", ".join(str(file.member) for file in members[:8]) or "nothing"
            raise DataError(f"{place} holds {len(members)} files ({listed}); unpack it and name the one to be read")
        return members[0]
    return File(place)


def name_of(path: str | Path) -> str:
    """What a dataset read from `path` is called: a folder's whole name; of a file what stands before its suffixes."""
    place = Path(path).expanduser().resolve()
    if place.is_dir():
        return place.name
    return place.name.removesuffix(".zip") if place.suffix == ".zip" else Path(place.name.removesuffix(".gz")).stem


def within(path: str | Path) -> list[File]:
    """The files of a folder (and of the folders right in it) or of a zip, nearest first, then by name.

    What archivers leave behind (`__MACOSX/`, names that begin with a dot) is passed over. DataError when `path` does
    not exist, is neither folder nor zip, or is a damaged zip.
    """
    place = Path(path).expanduser()
    if place.is_dir():
        members = [File(p) for p in (*place.glob("*"), *place.glob("*/*")) if p.is_file()]
    elif not place.exists():
        raise DataError(f"{place}: no such file or folder; check the path{_nearby(place)}")
    elif zipfile.is_zipfile(place):
        with zipfile.ZipFile(place) as archive:
            members = [File(place, i.filename) for i in archive.infolist() if not i.is_dir()]
    elif place.suffix == ".zip":
        raise DataError(f"{place} is not a whole zip file; download it again")
    else:
        raise DataError(
            f"{place} is neither a folder nor a zip; give the folder that holds it, or the zip as published"
        )
    visible = [f for f in members if not f.name.startswith(".") and "__MACOSX" not in (f.member or "")]
    return sorted(visible, key=lambda file: (file.depth, str(file)))


def named(files: list[File], name: str) -> File | None:
    """The one file called `name` among `files`, or None; the nearest wins, DataError when two lie equally near."""
    matches = [file for file in files if file.name == name]
    if len(matches) > 1 and matches[0].depth == matches[1].depth:
        raise DataError(f"both {matches[0]} and {matches[1]} could be meant; give the folder of one")
    return matches[0] if matches else None


def known_encoding(encoding: str) -> str:
    """`encoding`, if Python knows it; DataError otherwise."""
    try:
        codecs.lookup(encoding)
    except LookupError as error:
        raise DataError(f"encoding {encoding!r} is unknown; usual ones are utf-8, latin-1, cp1252, utf-16") from error
    return encoding


def refuse(file: object, error: Exception) -> NoReturn:
    """Raise the DataError for a file that cannot be read to its end."""
    if isinstance(error, FileNotFoundError):
        raise DataError(f"{file}: no such file; check the path") from error
    if isinstance(error, PermissionError):
        raise DataError(f"{file}: not allowed to read it; change its permissions") from error
    raise DataError(f"{file} cannot be unpacked or read ({error}); download it again") from error


def _nearby(place: Path) -> str:
    if not place.parent.is_dir():
        return f" (there is no folder {place.parent} either)"
    names = sorted(p.name for p in place.parent.iterdir() if not p.name.startswith("."))[:8]
    return f" (in {place.parent}: {', '.join(names)})" if names else f" ({place.parent} is empty)"
