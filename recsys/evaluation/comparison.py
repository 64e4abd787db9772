"""The table of a study: every variant against raw and against the controls, with intervals and corrected p-values."""

from __future__ import annotations

import zlib
from collections import Counter, defaultdict
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ...errors import DataError
from .intervals import Values, holm, resampled_means, summarised

CELL = ("model", "variant", "group", "metric", "against")
COLUMNS = (*CELL, "mean", "n", "seeds", "baseline", "difference", "low", "high", "p", "p_holm")
KEY = ("model", "variant", "seed", "user", "group", "metric")


def compare(
    values: pd.DataFrame,
    *,
    baseline: str = "raw",
    controls: Sequence[str] = (),
    bounds: Sequence[str] = (),
    seed: int = 0,
    draws: int = 2000,
    resample_seeds: bool = True,
) -> pd.DataFrame:
    """One row a model x group x metric x variant x what it is held against.

    values: tidy, one row a value: `model`, `variant`, `seed`, `user`, `group`, `metric`, `value` (`read_values` of
        files written with these labels).
    baseline: the variant every other one is held against. controls: variants that every variant that is neither
        baseline nor control is held against as well. A control that a model lacks gives no row.
    bounds: variants such as an oracle that are held against the baseline alone, and that nothing is held against.
    resample_seeds: whether training seeds are resampled as well as users, so that the interval speaks of the training
        method and not of these trained models alone. A variant of one seed (a model without randomness) is held
        against every seed of the other; otherwise the seeds that both have count.
    draws: bootstrap draws of an interval; at least 80 a comparison of the largest family are made, because fewer could
        not give a corrected p below .05.

    Columns: `against` is "" in the row that states a variant's mean alone. `mean` over the `n` users for whom it is
    defined, `seeds` averaged; `baseline` is the other's mean and `difference` the mean difference over the users both
    have, with its 95 % interval `low`, `high` and two-sided `p`, both of one paired bootstrap: the interval excludes 0
    exactly where p <= .05. `p_holm` is p corrected over its family (Holm): the comparisons of one metric and group,
    over all models, those of controls and of bounds against the baseline apart. In comparing rows, `mean` and `n` are
    over the users both have. Deterministic: the draws of a group depend on `seed`, the group's name and its number of
    users alone.
    Raises DataError for a missing column, a value that stands twice, and a model without the baseline.
    """
    missing = [column for column in (*KEY, "value") if column not in values]
    if missing:
        raise DataError(f"per-user values lack the column(s) {', '.join(missing)}; write them with these labels")
    twice = values.duplicated(list(KEY))
    if twice.any():
        first = values[twice].iloc[0]
        cell = ", ".join(f"{key}={first[key]}" for key in KEY)
        raise DataError(f"the value of {cell} stands twice; keep one run of each seed")
    rows: list[dict[str, object]] = []
    families: list[tuple[Hashable, Hashable, str, dict[str, object]]] = []
    role = dict.fromkeys(controls, "control") | dict.fromkeys(bounds, "bound")
    pending: dict[tuple[str, int, int], list[tuple[dict[str, object], Values]]] = {}
    for (group, metric, model), part in values.groupby(["group", "metric", "model"], sort=False, observed=True):
        table = part.pivot(index="user", columns=["variant", "seed"], values="value")
        table = table.sort_index().sort_index(axis=1)
        variants = list(dict.fromkeys(part["variant"]))
        if baseline not in variants:
            raise DataError(f"model {model!r}: no {metric} of variant {baseline!r} in group {group!r}; evaluate it too")
        for variant in sorted(variants, key=lambda name: (name != baseline, name in controls, name in bounds)):
            of = {"model": model, "variant": variant, "group": group, "metric": metric}
            own = _of(table, variant)
            mean = _by_user(own)
            mean = mean[~np.isnan(mean)]
            rows.append(of | {"against": "", "mean": _mean(mean), "n": len(mean), "seeds": own.shape[1]})
            others = [] if variant == baseline else [baseline]
            others += [] if variant in (baseline, *role) else [name for name in controls if name in variants]
            for other in others:
                row, difference = _versus(own, _of(table, other), resample_seeds)
                rows.append(of | {"against": other} | row)
                pending.setdefault((str(group), *difference.shape), []).append((rows[-1], difference))
                families.append((group, metric, role.get(variant, ""), rows[-1]))
    largest = Counter(family[:3] for family in families).most_common(1)
    draws = max(draws, 80 * largest[0][1]) if largest else draws
    for (group, n, _), compared in pending.items():
        if n == 0:
            continue
        rng = np.random.default_rng([seed, zlib.crc32(group.encode())])
        means = resampled_means(np.stack([difference for _, difference in compared], axis=1), rng, draws)
        for (row, difference), resampled in zip(compared, means.T, strict=True):
            spread = summarised(_mean(difference), resampled, n)
            row |= {"difference": spread.mean, "low": spread.low, "high": spread.high, "p": spread.p}
    by_family: defaultdict[tuple[Hashable, ...], list[dict[str, object]]] = defaultdict(list)
    for *family, row in families:
        by_family[tuple(family)].append(row)
    for members in by_family.values():
        for row, p in zip(members, holm(np.array([row.get("p", np.nan) for row in members], np.float64)), strict=True):
            row["p_holm"] = p
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _of(table: pd.DataFrame, variant: str) -> pd.DataFrame:
    """One variant's columns of a (user) x (variant, seed) table: (user) x (seed)."""
    return table.loc[:, table.columns.get_level_values("variant") == variant].droplevel("variant", axis=1)


def _versus(own: pd.DataFrame, other: pd.DataFrame, resample_seeds: bool) -> tuple[dict[str, object], Values]:
    """What a comparing row states, and the differences (n, seeds), or (n, 1) of averages, of the users both have."""
    # A model without randomness is trained once: its values hold for every seed of the other.
    if own.shape[1] == 1 or other.shape[1] == 1:
        wide = own if own.shape[1] > 1 else other
        columns = wide.columns
        first, second = (
            np.broadcast_to(table.to_numpy(np.float64), (len(table), len(columns))) for table in (own, other)
        )
    else:
        shared = [seed for seed in own.columns if seed in other.columns]
        first, second = own[shared].to_numpy(np.float64), other[shared].to_numpy(np.float64)
    if not resample_seeds or not first.shape[1]:
        first, second = _by_user(own)[:, None], _by_user(other)[:, None]
    both = ~np.isnan(first - second).any(axis=1)
    first, second = first[both], second[both]
    seeds = min(own.shape[1], other.shape[1]) if not resample_seeds else first.shape[1]
    return {"mean": _mean(first), "n": int(both.sum()), "seeds": seeds, "baseline": _mean(second)}, first - second


def _by_user(table: pd.DataFrame) -> Values:
    """(n,) means over the seeds; NaN where any seed is undefined."""
    means: Values = table.to_numpy(np.float64).mean(axis=1)
    return means


def _mean(values: Values) -> float:
    return float(values.mean()) if values.size else float("nan")


def as_markdown(table: pd.DataFrame) -> str:
    """`compare`'s table as Markdown: a section a group and metric, a line a model and variant.

    Figures have four decimals; a difference reads `+0.0123 [+0.0020, +0.0226] p=.012`: interval uncorrected, p
    corrected (Holm). Equal tables give equal bytes.
    """
    lines: list[str] = []
    for (group, metric), part in table.groupby(["group", "metric"], sort=False, observed=True):
        against = list(dict.fromkeys(name for name in part["against"] if name))
        head = ["model", "variant", "users", "seeds", "mean", *(f"vs {other}" for other in against)]
        lines += [f"### {metric}, {group}", "", _line(head), "|---|---|--:|--:|--:|" + "---|" * len(against)]
        for (model, variant), cell in part.groupby(["model", "variant"], sort=False, observed=True):
            by_other = cell.set_index("against")
            alone = by_other.loc[""].to_dict()
            stated = [str(model), str(variant), str(alone["n"]), str(alone["seeds"]), _figure(alone["mean"], "")]
            differences = [
                _difference(by_other.loc[name].to_dict()) if name in by_other.index else "" for name in against
            ]
            lines.append(_line([*stated, *differences]))
        lines.append("")
    return "\n".join(lines)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _difference(row: dict[Hashable, Any]) -> str:
    if np.isnan(row["difference"]):
        return ""
    return f"{_figure(row['difference'])} [{_figure(row['low'])}, {_figure(row['high'])}] {p_value(row['p_holm'])}"


def p_value(p: float) -> str:
    """`p=.012`, three decimals."""
    return "p<.001" if p < 0.001 else f"p={p:.3f}".replace("0.", ".", 1)


def _figure(value: float, sign: str = "+") -> str:
    """Four decimals; zero has no sign of its own, so that -0.00001 and 0.00001 do not differ in print."""
    if np.isnan(value):
        return "–"
    rounded = round(value, 4) + 0.0
    return f"{rounded:{sign}.4f}" if rounded else "0.0000"
