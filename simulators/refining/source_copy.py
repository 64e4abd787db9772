"""What `undo` needs of a refine: the log's own bytes, packed, and digests that tell whether a file is the one meant."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from ...atomic import write_text, write_whole
from ...errors import RunError

KEPT, PACKED = "undo.json", "source.zst"
_CHUNK = 1 << 22


def keep_source(source: Path, out: Path, folder: Path) -> None:
    """Pack `source` into the run folder and note what it and the refined log `out` are, byte for byte.

    A source that is there already is packed once only.
    """
    told = read_kept(folder) if (folder / KEPT).is_file() else {}
    digest = sha256(source)
    if told.get("sha256") != digest or not (folder / PACKED).is_file():
        write_whole(folder / PACKED, lambda path: _pack(source, path))
    about = {"source": str(source.resolve()), "sha256": digest, "refined": out.name, "refined_sha256": sha256(out)}
    write_text(folder / KEPT, json.dumps(about, indent=2) + "\n")


def unpack(folder: Path, place: Path) -> str:
    """Write the kept log to `place`, whole or not at all; gives its SHA-256. RunError where it is not what was kept."""
    partial = place.with_name(f".{place.name}.partial")
    with pa.CompressedInputStream(pa.OSFile(str(folder / PACKED)), "zstd") as packed, partial.open("wb") as file:
        while piece := packed.read(_CHUNK):
            file.write(piece)
    digest = sha256(partial)
    if digest != read_kept(folder)["sha256"]:
        partial.unlink()
        raise RunError(f"{folder / PACKED} is damaged; copy the log from {read_kept(folder)['source']}")
    partial.replace(place)
    return digest


def read_kept(folder: Path) -> dict[str, Any]:
    """What `keep_source` noted. RunError where nothing was kept."""
    try:
        found: dict[str, Any] = json.loads((folder / KEPT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{folder} keeps no log: it is no folder of a finished `recloop refine`; run it again") from None
    return found


def sha256(path: Path) -> str:
    """Of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _pack(source: Path, place: Path) -> None:
    with source.open("rb") as file, pa.CompressedOutputStream(pa.OSFile(str(place), "wb"), "zstd") as packed:
        while piece := file.read(_CHUNK):
            packed.write(piece)
