"""`Evaluation`: the values of every user, by group, with the protocol they were made under."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from ...atomic import write_whole
from ...errors import ConfigError, DataError
from ..data.dataset import Longs
from .beyond import coverage, gini, novelty
from .heldout import HeldOut
from .metrics import CutoffMetric, Placement, parse

Masks = Mapping[str, npt.NDArray[np.bool_]]
ALL = "all"
"""The group of every user and every held-out item."""


@dataclass(frozen=True)
class Evaluation:
    """What one ranking of some users is worth.

    per_user: one row a user: `user` (code), `n_relevant` (items held out), a column a metric, and a boolean column a
        user group. A metric is NaN where nothing was held out.
    by_item_group: the same metrics where only the held-out items of one item group count as relevant; users without
        such an item are NaN.
    beyond: `coverage@k`, `gini@k`, `novelty@k` of the lists of the users who have something held out.
    topk: (n, depth) item codes, best first, -1 where a list is shorter or the user was not ranked; None if not kept.
    protocol: how the numbers were made: side, what was ranked, whether seen items were masked, counts of what is
        undefined. Belongs next to every number taken from here.
    """

    per_user: pd.DataFrame
    by_item_group: Mapping[str, pd.DataFrame]
    beyond: Mapping[str, float]
    protocol: Mapping[str, object]
    metrics: tuple[str, ...]
    user_groups: tuple[str, ...] = ()
    topk: npt.NDArray[np.int64] | None = field(default=None, repr=False)

    def values(self, metric: str, group: str = ALL) -> npt.NDArray[np.float64]:
        """(n,) values in the order of `per_user`; NaN where undefined or outside the group.

        Raises ConfigError for a metric or group that was not computed.
        """
        name = str(parse(metric))
        if name not in self.metrics:
            raise ConfigError(f"{name} was not computed; this evaluation holds {', '.join(self.metrics)}")
        if group in self.by_item_group:
            return self.by_item_group[group][name].to_numpy(np.float64)
        values = self.per_user[name].to_numpy(np.float64)
        if group == ALL:
            return values
        if group not in self.user_groups:
            raise ConfigError(f"group {group!r} was not computed; this evaluation holds {', '.join(self.groups)}")
        return np.where(self.per_user[group].to_numpy(bool), values, np.nan)

    def mean(self, metric: str, mask: npt.NDArray[np.bool_] | None = None, group: str = ALL) -> float:
        """Mean over the users for whom the metric is defined, of those where mask (n,) is true; NaN without any."""
        values = self.values(metric, group)
        values = values if mask is None else values[mask]
        defined = values[~np.isnan(values)]
        return float(defined.mean()) if len(defined) else float("nan")

    @property
    def groups(self) -> tuple[str, ...]:
        """`all`, the item groups, the user groups."""
        return (ALL, *self.by_item_group, *self.user_groups)

    def tidy(self) -> pd.DataFrame:
        """One row a value: `user`, `group`, `metric`, `value`.

        Group `all` has every user, undefined values included as NaN; another group has its own users with a value.
        """
        parts = []
        user = self.per_user["user"].to_numpy()
        for group in self.groups:
            for metric in self.metrics:
                values = self.values(metric, group)
                selected = np.ones(len(values), bool) if group == ALL else ~np.isnan(values)
                parts.append(
                    pd.DataFrame({"user": user[selected], "group": group, "metric": metric, "value": values[selected]})
                )
        return pd.concat(parts, ignore_index=True)


def assemble(
    placed: Placement,
    placed_item: Longs,
    targets: HeldOut,
    metrics: Sequence[CutoffMetric],
    protocol: Mapping[str, object],
    *,
    item_groups: Masks,
    user_groups: Masks,
    beyond: Mapping[str, float],
    topk: npt.NDArray[np.int64] | None = None,
) -> Evaluation:
    """Turns placements into an Evaluation; placed_item (m,) is the item of each entry of `placed`.

    user_groups are masks over all user codes, item_groups over all item codes. Raises ConfigError when a group is
    named twice or as a column of the table.
    """
    accuracy = [metric for metric in metrics if not metric.of_lists]
    names = tuple(str(metric) for metric in accuracy)
    taken = {ALL, "user", "n_relevant", *names}
    for group in [*item_groups, *user_groups]:
        if group in taken:
            raise ConfigError(f"group {group!r} is named twice or is the name of a column; give it another name")
        taken.add(group)

    def table(placement: Placement) -> pd.DataFrame:
        columns = {"user": targets.users, "n_relevant": placement.n_relevant}
        return pd.DataFrame(columns | {str(metric): metric(placement) for metric in accuracy})

    per_user = table(placed)
    for group, mask in user_groups.items():
        per_user[group] = np.asarray(mask, bool)[targets.users]
    by_item_group = {
        group: table(placed.only(np.asarray(mask, bool)[placed_item], targets.counts(np.asarray(mask, bool))))
        for group, mask in item_groups.items()
    }
    undefined = int((placed.n_relevant == 0).sum())
    counts = {
        "users": len(targets.users),
        "users_undefined": undefined,
        "held_out": len(targets.item),
        "held_out_already_seen": targets.already_seen,
    }
    return Evaluation(per_user, by_item_group, dict(beyond), {**protocol, **counts}, names, tuple(user_groups), topk)


def named(metrics: Iterable[str]) -> list[CutoffMetric]:
    """Metric names, parsed, each once, in the order given. Raises ConfigError when none is left."""
    parsed = list(dict.fromkeys(parse(metric) for metric in metrics))
    if not parsed:
        raise ConfigError("no metric was named; name at least one, for example 'ndcg@10'")
    return parsed


def beyond_accuracy(
    lists: npt.NDArray[np.int64], metrics: Sequence[CutoffMetric], item_counts: Longs, n_users: int
) -> dict[str, float]:
    """Coverage, Gini and novelty of lists (n, depth) at every cutoff that any metric names."""
    values = {}
    for k in sorted({metric.k for metric in metrics}):
        values[f"coverage@{k}"] = coverage(lists, k, len(item_counts))
        values[f"gini@{k}"] = gini(lists, k, len(item_counts))
        values[f"novelty@{k}"] = novelty(lists, k, item_counts, n_users)
    return values


def write_values(evaluation: Evaluation, path: Path, **labels: str | int) -> None:
    """The tidy table as Parquet, with a constant column for each label (model="sasrec", variant="raw", seed=0).

    The file appears whole or not at all.
    """
    table = evaluation.tidy()
    for position, (label, value) in enumerate(labels.items()):
        if label in ("user", "group", "metric", "value"):
            raise ConfigError(f"label {label!r} is a column of the table already; choose another name")
        table.insert(position, label, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, lambda file: table.to_parquet(file, index=False))


def read_values(path: Path) -> pd.DataFrame:
    """What `write_values` wrote: one file, or every `.parquet` file of a folder, in the order of their names.

    Raises DataError for a file that is missing, damaged or another table.
    """
    files = sorted(path.glob("*.parquet")) if path.is_dir() else [path]
    if not files or not files[0].exists():
        raise DataError(f"{path}: no per-user values here; run the study again, which writes them")
    tables = []
    for file in files:
        try:
            table = pd.read_parquet(file)
        except (OSError, pa.ArrowException) as error:
            reason = " ".join(str(error).split())
            raise DataError(
                f"{file}: per-user values that cannot be read ({reason}); delete the file and run the study again"
            ) from None
        missing = {"user", "group", "metric", "value"}.difference(table.columns)
        if missing:
            raise DataError(f"{file}: not a table of per-user values, it lacks {', '.join(sorted(missing))}")
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
