"""`load` and `split`: the data that a `DataConfig` names, filtered and split."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import cast

from ...errors import ConfigError
from .amazon import read_amazon
from .atomic import read_atomic
from .data_config import SPLITS, DataConfig
from .dataset import Dataset, Split
from .filters import at_least, drop_duplicates, k_core, time_window
from .frames import held_frame, is_frame, read_frame
from .movielens import read_movielens
from .tables import read_table
from .windows import read_windows
from .writers import read_written

Source = Callable[[DataConfig], Dataset]


def load(config: DataConfig) -> Dataset:
    """The data of the source, filtered. DataError names file or filter, ConfigError the setting."""
    data = _source_data(config)
    if config.window is not None:
        data = time_window(data, config.window.start, config.window.end)
    if config.duplicates != "keep":
        rows = len(data)
        data = drop_duplicates(data, config.duplicates)
        if merged := rows - len(data):
            data = data.with_(left_out={**data.left_out, "duplicates": merged})
    if config.min_rating is not None:
        data = at_least(data, config.min_rating)
    if config.core is not None:
        data = k_core(data, config.core.user, config.core.item)
    return data


def load_split(config: DataConfig) -> Split:
    """The data of `load` in its train, validation and test sides."""
    return split(load(config), config)


def split(data: Dataset, config: DataConfig) -> Split:
    """Train, validation and test sides of `data` as `config.split` says."""
    name, settings = next(iter(config.split.items()))
    try:
        return SPLITS[name](data, **settings)
    except TypeError as error:
        raise ConfigError(f"data.split.{name}: {error}; see its settings in the reference") from error


def bazaar_source(config: DataConfig) -> Dataset:
    """The built-in world, with its planted noise."""
    from .bazaar import bazaar

    return bazaar(seed=config.seed, users=config.n_users, items=config.n_items, noise=config.noise)


def movielens_source(config: DataConfig) -> Dataset:
    return read_movielens(_path(config), tags=config.tags, twice=config.duplicate_ids)


def amazon_source(config: DataConfig) -> Dataset:
    return read_amazon(_path(config), config.metadata, raw_texts=config.raw_texts, twice=config.duplicate_ids)


def atomic_source(config: DataConfig) -> Dataset:
    return read_atomic(
        _path(config),
        items=config.items,
        users=config.users,
        columns={ours: str(theirs) for ours, theirs in config.columns.items()},
        names=tuple(config.header) or None,
        quoted=config.quoted,
        encoding=config.encoding,
        raw_texts=config.raw_texts,
        twice=config.duplicate_ids,
    )


def table_source(config: DataConfig) -> Dataset:
    return read_table(
        _path(config),
        config.columns,
        items=config.items,
        item_columns=config.item_columns,
        users=config.users,
        user_columns=config.user_columns,
        time=config.time,
        separator=config.separator,
        items_separator=config.items_separator,
        encoding=config.encoding,
        escape=config.escape,
        sequences=config.sequences,
        without_time=config.without_time,
        events=config.events,
        raw_texts=config.raw_texts,
        twice=config.duplicate_ids,
    )


def frame_source(config: DataConfig) -> Dataset:
    """DataFrames that this process holds (`data.source`, `items`, `users` given as DataFrames)."""
    return read_frame(
        held_frame(config.source),
        config.columns,
        items=None if config.items is None else held_frame(str(config.items)),
        item_columns=config.item_columns,
        users=None if config.users is None else held_frame(str(config.users)),
        user_columns=config.user_columns,
        time=config.time,
        without_time=config.without_time,
        events=config.events,
        raw_texts=config.raw_texts,
        twice=config.duplicate_ids,
    )


def written_source(config: DataConfig) -> Dataset:
    return read_written(_path(config))


def windows_source(config: DataConfig) -> Dataset:
    """A user a window; what is known of planted noise is not read."""
    return read_windows(_path(config), config.items)


SOURCES: dict[str, Source] = {
    "bazaar": bazaar_source,
    "movielens": movielens_source,
    "amazon": amazon_source,
    "atomic": atomic_source,
    "table": table_source,
    "windows": windows_source,
    "written": written_source,
}


def _source(name: str) -> Source:
    if is_frame(name):
        return frame_source
    if name in SOURCES:
        return SOURCES[name]
    module, _, function = name.partition(":")
    try:
        return cast(Source, getattr(importlib.import_module(module), function))
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"data.source: {name!r} cannot be imported ({error}); install it or name one of {', '.join(SOURCES)}"
        ) from error


def _source_data(config: DataConfig) -> Dataset:
    """What the source gives for its settings. Raises ConfigError where a plug-in is no source."""
    source, plain = _source(config.source), f"data.source: {config.source!r} is no source: "
    if not callable(source):
        raise ConfigError(f"{plain}it is a {type(source).__name__}, not a function from DataConfig to Dataset")
    try:
        data: object = source(config)
    except TypeError as error:
        traceback = error.__traceback__
        if traceback is not None and traceback.tb_next is None:  # raised by the call itself, not inside the function
            raise ConfigError(f"{plain}it does not take a DataConfig ({error})") from error
        raise
    if not isinstance(data, Dataset):
        raise ConfigError(f"{plain}it gave a {type(data).__name__}, not a Dataset (see docs/plug-ins.md)")
    return data


def _path(config: DataConfig) -> Path:
    if config.path is None:
        raise ConfigError(f"data.path is missing; source {config.source!r} reads from a path")
    return config.path
