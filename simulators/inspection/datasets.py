"""`data info` and `data convert`: what a dataset holds, and the same data in another format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...atomic import check_output, check_parents
from ...errors import ConfigError
from ...notebook import Facts
from ...recsys.data import DataConfig, Dataset, describe, load, write, write_log
from ...recsys.data.writers import Layout
from ...settings import checked, with_settings
from ..studies.study import read_study


def data_info(source: str, path: Path | str | None = None, settings: Sequence[str] = ()) -> dict[str, Any]:
    """`describe` of a dataset: sizes, density, time, ratings, texts, skew, fingerprint; plain values.

    source: a study file (`study.yaml`: its data), or the name of a source (`movielens`) with the `path` to read.
    settings: `min_rating=4`-like assignments on the data's settings.
    """
    return Facts(describe(open_data(source, path, settings)))


def data_convert(
    source: str,
    path: Path | str | None,
    out: Path | str,
    settings: Sequence[str] = (),
    *,
    layout: Layout | None = None,
    overwrite: bool = False,
) -> Path:
    """Read, filter and write a dataset; gives the path written.

    out: a new folder (interactions, items and users in `layout`, Parquet unless given), or, with a file's ending
    (`.csv`, `.tsv`, `.parquet`, `.inter`), the interactions alone. Provenance columns are kept. It appears whole or not
    at all; an existing one is refused without `overwrite`, and a folder that recloop did not write with it, too.
    """
    out = Path(out)
    single = out.suffix in (".csv", ".tsv", ".parquet", ".pq", ".inter")
    if single and layout is not None:
        raise ConfigError(f"{out} is one file, whose ending says its format; leave --layout out")
    if single:
        check_output(out, overwrite=overwrite)
        if path is not None and out.resolve() == Path(path).resolve():
            raise ConfigError(f"{out} is the file that is read; write to another one")
    else:
        check_parents(out)
    data = open_data(source, path, settings)
    return (
        write_log(data, out, overwrite=overwrite)
        if single
        else write(data, out, layout or "parquet", overwrite=overwrite)
    )


def open_data(source: str, path: Path | str | None, settings: Sequence[str]) -> Dataset:
    """The data that a study file names, or that a source reads from a path."""
    if source.endswith((".yaml", ".yml")):
        if path is not None:
            raise ConfigError(f"{source} is a study, which names its own data; leave {path} out")
        return load(read_study(source, [f"data.{setting}" for setting in settings]).data)
    values: dict[str, Any] = {"source": source} | ({"path": str(path)} if path is not None else {})
    return load(checked(DataConfig, with_settings(values, settings), "data"))
