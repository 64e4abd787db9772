"""`evaluate`: metrics of external rankings and of trained models on one split, and their paired differences."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...atomic import check_output, write_output
from ...errors import ConfigError
from ..data.data_config import DataConfig
from ..data.dataset import Split
from ..evaluation import Evaluation, compare, group_masks, interval, score_rankings
from ..evaluation import evaluate as rank
from ..evaluation.groups import GROUPS
from ..evaluation.heldout import Side
from ..sections import Sections
from .folder import Trained, open_folder
from .history import check_untouched, data_config, split_of

COLUMNS = ("ranking", "group", "metric", "n", "mean", "low", "high", "difference", "d_low", "d_high", "p", "p_holm")


@dataclass(frozen=True)
class RankingReport:
    """table: `COLUMNS`, a row per ranking, group and metric. `low`, `high`: 95 % bootstrap interval of the mean.

    With `against`: also the mean paired difference, its interval, p, and p corrected (Holm) over a metric and group.
    lists: ranking -> coverage, Gini, novelty. protocols: ranking -> evaluation protocol.
    values: tidy per-user values (ranking, user_id, group, metric, value).
    """

    side: str
    against: str | None
    table: pd.DataFrame
    lists: Mapping[str, Mapping[str, float]]
    protocols: Mapping[str, Mapping[str, object]]
    values: pd.DataFrame

    def as_json(self) -> dict[str, Any]:
        return {
            "side": self.side,
            "against": self.against,
            "table": self.table.to_dict("records"),
            "lists": {name: dict(evaluations) for name, evaluations in self.lists.items()},
            "protocols": {name: dict(evaluations) for name, evaluations in self.protocols.items()},
        }


def evaluate(
    rankings: Sequence[Path | str] | Path | str,
    data: DataConfig | Sections | None = None,
    settings: Sequence[str] = (),
    *,
    against: Path | str | None = None,
    metrics: Sequence[str] = ("recall@10", "ndcg@10"),
    groups: Sequence[str] = GROUPS,
    side: Side = "test",
    mask_seen: bool = True,
    values: Path | str | None = None,
    overwrite: bool = False,
    seed: int = 0,
    draws: int = 2000,
) -> RankingReport:
    """Evaluates rankings on the split of `data`, by user and item group, and compares them with `against`, if given.

    rankings, against: files (`.csv`, `.tsv`, `.parquet`) with user_id, item_id and rank or score, the data's own ids
        (see `score_rankings`), or folders that `recloop train` made. data: a YAML file or a dict with a section `data`;
        may be left out where the first of `rankings` is a folder. groups: head, tail, cold, warm, history, computed on
        the train side. values: a Parquet file to be written, a row a ranking x user x group x metric; an existing one
        is refused without `overwrite`.
    A folder is refused where it was not trained on this very split. Raises ConfigError and DataError as those do.
    """
    wanted = [Path(one) for one in ([rankings] if isinstance(rankings, Path | str) else rankings)]
    if not wanted:
        raise ConfigError("no ranking is named; give a file of rankings or a folder that `recloop train` made")
    if values is not None:
        if Path(values).suffix != ".parquet":
            raise ConfigError(f"{values}: per-user values are written as .parquet")
        check_output(Path(values), overwrite=overwrite)
    everything = [*wanted, *([Path(against)] if against is not None else [])]
    names = _names(everything)
    opened = {path: open_folder(path) for path in everything if path.is_dir()}
    lender = next(iter(opened.values()), None)
    sides = split_of(data_config(data, lender, settings), lender)
    masks = group_masks(groups, sides.train)
    evaluations: dict[str, Evaluation] = {}
    for path, name in zip(everything, names, strict=True):
        evaluations[name] = _evaluation(path, opened.get(path), sides, metrics, side, mask_seen, masks)
    other = names[-1] if against is not None else None
    per_user = _per_user(evaluations, sides)
    if values is not None:
        write_output(Path(values), lambda file: per_user.to_parquet(file, index=False), overwrite=overwrite)
    return RankingReport(
        side,
        other,
        _table(evaluations, other, seed, draws),
        {name: dict(one.beyond) for name, one in evaluations.items()},
        {name: dict(one.protocol) for name, one in evaluations.items()},
        per_user,
    )


def _evaluation(
    path: Path, trained: Trained | None, sides: Split, metrics: Sequence[str], side: Side, mask_seen: bool, masks: Any
) -> Evaluation:
    item_groups, user_groups = masks
    how: dict[str, Any] = {"item_groups": item_groups, "user_groups": user_groups}
    if trained is None:
        return score_rankings(path, sides, metrics=metrics, side=side, mask_seen=mask_seen, **how)
    check_untouched(trained, sides, side)
    return rank(trained.model, sides, metrics=metrics, side=side, mask_seen=mask_seen, **how)


def _table(evaluations: Mapping[str, Evaluation], against: str | None, seed: int, draws: int) -> pd.DataFrame:
    rows = []
    for name, one in evaluations.items():
        for group in one.groups:
            for metric in one.metrics:
                spread = interval(one.values(metric, group), _rng(seed, group), draws)
                rows.append((name, group, metric, spread.n, spread.mean, spread.low, spread.high))
    table = pd.DataFrame(rows, columns=list(COLUMNS[:7]))
    compared = pd.DataFrame(columns=["ranking", "group", "metric", *COLUMNS[7:]])
    if against is not None and len(evaluations) > 1:
        tidy = pd.concat([one.tidy().assign(model="", variant=name, seed=0) for name, one in evaluations.items()])
        comparison = compare(tidy, baseline=against, seed=seed, draws=draws)
        comparison = comparison[comparison["against"] == against]
        compared = comparison.rename(columns={"variant": "ranking", "low": "d_low", "high": "d_high"})[compared.columns]
    return table.merge(compared, how="left", on=["ranking", "group", "metric"])[list(COLUMNS)]


def _per_user(evaluations: Mapping[str, Evaluation], sides: Split) -> pd.DataFrame:
    parts = []
    ids = sides.train.users["user_id"].astype(str).to_numpy(object)
    for name, one in evaluations.items():
        tidy = one.tidy()
        tidy.insert(0, "ranking", name)
        tidy.insert(1, "user_id", ids[tidy["user"].to_numpy()])
        parts.append(tidy)
    return pd.concat(parts, ignore_index=True)


def _names(paths: Sequence[Path]) -> list[str]:
    """Distinct short names: the last part of each path, or the whole path where two would be equal."""
    stems = [path.stem if path.suffix in (".csv", ".tsv", ".parquet") else path.name for path in paths]
    names = [str(path) if stems.count(stem) > 1 else stem for path, stem in zip(paths, stems, strict=True)]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigError(f"{twice} is named twice; name each ranking once")
    return names


def _rng(seed: int, group: str) -> np.random.Generator:
    return np.random.default_rng([seed, zlib.crc32(group.encode())])
