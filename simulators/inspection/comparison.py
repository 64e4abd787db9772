"""`compare`: the same variant of two runs, user by user, on the same held-out interactions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from ...errors import ConfigError, RunError
from ...notebook import html_of
from ...recsys.evaluation import compare as compare_values
from ...recsys.evaluation import read_values
from ...recsys.evaluation.comparison import p_value
from ..studies.run_folder import CELLS
from ..studies.variants import REFINED

ALPHA = 0.05
SAME = {
    "data": "the train, validation or test side",
    "evaluate": "the settings of `evaluate`",
    "code": "recloop's code below recsys/",
    "limit": "`--limit`",
}
"""What both runs must have in common, and what it is called where they have not."""


@dataclass(frozen=True, slots=True)
class RunComparison:
    """Two runs held against each other. table: `recsys.evaluation.compare`'s rows, with `first` as the baseline."""

    first: str
    second: str
    variant: str
    metric: str
    table: pd.DataFrame

    @property
    def sentences(self) -> list[str]:
        """One a model: difference, interval and corrected p of the metric over all users, and what they amount to."""
        return [f"{row['model']}: {_words(row, self)} ({_figures(row)})" for row in self._rows()]

    def as_json(self) -> dict[str, Any]:
        """Plain values; undefined figures are null."""
        rows = self.table.astype(object).where(self.table.notna(), None)
        return {
            "first": self.first,
            "second": self.second,
            "variant": self.variant,
            "metric": self.metric,
            "conclusions": self.sentences,
            "table": rows.to_dict("records"),
        }

    def show(self, console: Console) -> None:
        """The table of the metric and the sentences, for a terminal."""
        table = Table(title=f"{self.variant} of {self.second} minus {self.first}: {self.metric}, all users")
        for column in ("model", self.first, self.second, "difference", "users"):
            table.add_column(column, justify="left" if column == "model" else "right")
        for row in self._rows():
            means = f"{row['baseline']:.4f}", f"{row['mean']:.4f}"
            table.add_row(str(row["model"]), *means, _figures(row), str(row["n"]))
        console.print(table)
        for sentence in self.sentences:
            console.print(f"  {sentence}", highlight=False, markup=False)

    def _rows(self) -> list[dict[Any, Any]]:
        of = (self.table["metric"] == self.metric) & (self.table["group"] == "all") & (self.table["against"] != "")
        return self.table[of].to_dict("records")

    def _repr_html_(self) -> str:
        return html_of(self.show)


def compare(
    first: Path | str,
    second: Path | str,
    *,
    out: Path | str = "runs",
    variant: str = REFINED,
    metric: str | None = None,
    seeds: str = "drawn",
    draws: int = 2000,
) -> RunComparison:
    """The `variant` of run `second` against that of run `first`, paired by user.

    first, second: run folders, or names of runs below `out`. metric: of the sentences; by default ndcg@10 where both
    have it. seeds, draws: as `evaluate.seeds` and `evaluate.draws` of a study. p-values are corrected over the models
    of a metric and group (Holm). Raises RunError for runs that are not comparable, naming what differs: they must have
    the same data and split, `evaluate` settings, models with hyperparameters, training seeds, code and `--limit`.
    """
    if seeds not in ("drawn", "fixed"):
        raise ConfigError(f"seeds is {seeds!r}; choose drawn or fixed")
    folders = [_folder(run, Path(out)) for run in (first, second)]
    labels = [folder.name for folder in folders]
    if labels[0] == labels[1]:
        labels = [str(folder) for folder in folders]
    if folders[0].resolve() == folders[1].resolve():
        raise RunError(f"{folders[0]} is named twice; name two runs")
    records = [_read(folder) for folder in folders]
    cells = [
        _cells(record, variant, folder)[["model", "seed", "hyperparameters", "file"]]
        for record, folder in zip(records, folders, strict=True)
    ]
    _check_comparable(records, cells, labels)
    values = pd.concat(
        [
            read_values(folder / "values" / file).assign(variant=label)
            for folder, part, label in zip(folders, cells, labels, strict=True)
            for file in part["file"]
        ],
        ignore_index=True,
    )
    metrics = list(dict.fromkeys(values["metric"]))
    if metric is None:
        metric = "ndcg@10" if "ndcg@10" in metrics else metrics[0]
    if metric not in metrics:
        raise ConfigError(f"metric {metric!r} was not evaluated; the runs have {', '.join(metrics)}")
    table = compare_values(values, baseline=labels[0], draws=draws, resample_seeds=seeds == "drawn")
    return RunComparison(labels[0], labels[1], variant, metric, table)


def _folder(run: Path | str, out: Path) -> Path:
    for folder in (Path(run), out / run):
        if (folder / CELLS).is_file():
            return folder
    for folder in (Path(run), out / run):
        if folder.is_dir():
            raise RunError(
                f"{folder} has no {CELLS}: no finished run of this version; run its study again (it resumes)"
            )
    raise RunError(f"no run {str(run)!r}, neither as a folder nor below {out}; `recloop runs list` names them")


def _read(folder: Path) -> dict[str, Any]:
    try:
        record = json.loads((folder / CELLS).read_text(encoding="utf-8"))
        pd.DataFrame(record["cells"])[["model", "variant", "seed", "hyperparameters", "file"]]
    except (ValueError, KeyError, TypeError) as error:
        raise RunError(f"{folder / CELLS} is damaged ({error}); run the study again (it resumes)") from error
    return dict(record)


def _cells(record: Mapping[str, Any], variant: str, folder: Path) -> pd.DataFrame:
    cells = pd.DataFrame(record["cells"])
    own = cells[cells["variant"] == variant]
    if not len(own):
        known = ", ".join(dict.fromkeys(cells["variant"]))
        raise RunError(f"{folder} has no variant {variant!r}; it has {known}")
    return own


def _check_comparable(records: list[dict[str, Any]], cells: list[pd.DataFrame], labels: list[str]) -> None:
    differ = [name for key, name in SAME.items() if records[0].get(key) != records[1].get(key)]
    models = [dict(zip(part["model"], part["hyperparameters"], strict=True)) for part in cells]
    for model in sorted({*models[0], *models[1]}):
        if model not in models[0] or model not in models[1]:
            differ.append(f"model {model} (only in {labels[model in models[1]]})")
        elif models[0][model] != models[1][model]:
            differ.append(f"the hyperparameters of {model}")
    seeds = [sorted(set(zip(part["model"], part["seed"], strict=True))) for part in cells]
    if not differ and seeds[0] != seeds[1]:
        differ.append("the training seeds")
    if differ:
        raise RunError(f"{labels[0]} and {labels[1]} cannot be compared: they differ in {'; '.join(differ)}")


def _words(row: Mapping[Any, Any], runs: RunComparison) -> str:
    if row["difference"] == row["low"] == row["high"] == 0:
        return "equal for every user"
    if row["p_holm"] > ALPHA:
        return "no difference beyond chance"
    better, worse = (runs.second, runs.first) if row["difference"] > 0 else (runs.first, runs.second)
    return f"{better} is better than {worse}"


def _figures(row: Mapping[Any, Any]) -> str:
    return f"{row['difference']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}] {p_value(row['p_holm'])}"
