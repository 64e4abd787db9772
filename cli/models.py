"""The verbs that make a recommender, judge it and serve it: train, evaluate, recommend, similar, vectors."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.table import Table

from .listing import completion
from .options import Json, Set, example
from .output import console, print_facts, print_json

app = typer.Typer()

Model = Annotated[Path, typer.Argument(help="A folder that `recloop train` made.")]
Data = Annotated[
    Path | None, typer.Option("--data", help="A YAML file whose section `data` is read; else the model's own data.")
]
DataSet = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="data.KEY=VALUE", help="Change the data's settings; may be repeated."),
]
At = Annotated[
    Literal["now", "test", "valid"],
    typer.Option(help="What is known: now: everything; test: train + validation; valid: train."),
]
Align = Annotated[
    bool, typer.Option("--align", help="Take data of other users and items, by id; the unknown is left out.")
]
K = Annotated[int, typer.Option("-k", help="Items a list.")]


@app.command(epilog=example("recloop train examples/tuned/ml-100k.yaml models/sasrec --model sasrec"))
def train(
    study: Annotated[Path, typer.Argument(help="A YAML file with `data` and `train`, such as a study.")],
    out: Annotated[Path, typer.Argument(help="The new folder that the model is kept in.")],
    model: Annotated[
        str | None,
        typer.Option(
            help="Which of train.models; may be left out where there is one.", autocompletion=completion("models")
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Else the first of train.seeds.")] = None,
    refit: Annotated[bool, typer.Option("--refit", help="Learn from train + validation in the end.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model that is there.")] = False,
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Fit one model and keep it with the ids of its users and items. The same command resumes what was cut off."""
    from ..recsys.serving import train as fit

    result = fit(study, out, model, settings or [], seed=seed, refit=refit, overwrite=overwrite)
    if as_json:
        return print_json(result)
    metrics = ", ".join(f"{metric} {value:.4f}" for metric, value in result["validation"].items())
    epochs = f", best epoch {result['best_epoch']}" if result["best_epoch"] else ""
    learnt = f"{result['interactions']} interactions in {result['seconds']:.1f} s{epochs}"
    print(f"{result['model']}: {learnt}, seed {result['seed']}")
    print(f"validation: {metrics or 'learnt from it (refit)'}\nkept in {result['folder']}")


@app.command(epilog=example("recloop evaluate theirs.csv models/sasrec --data study.yaml --against models/itemknn"))
def evaluate(
    rankings: Annotated[
        list[Path], typer.Argument(help="Files with user_id, item_id, rank or score; or folders of `recloop train`.")
    ],
    data: Data = None,
    against: Annotated[Path | None, typer.Option(help="A file or folder that all are compared with, by user.")] = None,
    metric: Annotated[list[str] | None, typer.Option(help="Such as ndcg@20; may be repeated.")] = None,
    group: Annotated[
        list[str] | None, typer.Option(help="head, tail, cold, warm, history, or none; may be repeated.")
    ] = None,
    side: Annotated[Literal["test", "valid"], typer.Option(help="Where the held-out items are taken from.")] = "test",
    mask_seen: Annotated[bool, typer.Option(help="Take out what the user is known to have seen.")] = True,
    values: Annotated[Path | None, typer.Option(help="Write every user's values to this Parquet file.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that file if it exists.")] = False,
    settings: DataSet = None,
    as_json: Json = False,
) -> None:
    """What rankings made elsewhere, and trained models, are worth on a split, and whether they differ."""
    from ..recsys.evaluation.groups import GROUPS
    from ..recsys.serving import evaluate as judge

    groups = GROUPS if not group else [name for name in group if name != "none"]
    verdict = judge(
        rankings,
        data,
        settings or [],
        against=against,
        metrics=metric or ("recall@10", "ndcg@10"),
        groups=groups,
        side=side,
        mask_seen=mask_seen,
        values=values,
        overwrite=overwrite,
    )
    if as_json:
        return print_json(verdict.as_json())
    _print_verdict(verdict)


@app.command(epilog=example("recloop recommend models/sasrec --user 17 --user 204 -k 5"))
def recommend(
    model: Model,
    user: Annotated[list[str] | None, typer.Option(help="The data's own id; may be repeated.")] = None,
    out: Annotated[Path | None, typer.Option(help="Lists of everybody, or of --user, to .parquet or .csv.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace that file if it exists.")] = False,
    k: K = 10,
    data: Data = None,
    filter_seen: Annotated[bool, typer.Option(help="Leave out what the user is known to have taken.")] = True,
    at: At = "now",
    align: Align = False,
    settings: DataSet = None,
    as_json: Json = False,
) -> None:
    """The best items for some users, or for all into a file."""
    from ..recsys.serving import recommend as best
    from ..recsys.serving import recommend_to_file

    how: dict[str, Any] = {
        "data": data,
        "filter_seen": filter_seen,
        "at": at,
        "align": align,
        "settings": settings or [],
    }
    if out is not None:
        rows = recommend_to_file(model, out, user, k, overwrite=overwrite, **how)
        return print_json({"written": str(out), "rows": rows}) if as_json else print(f"{rows} rows in {out}")
    if not user:
        raise typer.BadParameter("name users (--user 17), or a file for the lists of everybody (--out lists.parquet)")
    lists = best(model, user, k, **how)
    if as_json:
        return print_json(lists.to_dict("records"))
    _print_rows(lists, ("user", "rank", "item", "title", "score"), ("user_id", "rank", "item_id", "title", "score"))


@app.command(epilog=example("recloop similar models/itemknn --item 50 --item 181 -k 5"))
def similar(
    model: Model,
    item: Annotated[list[str], typer.Option(help="The data's own id; may be repeated.")],
    k: K = 10,
    as_json: Json = False,
) -> None:
    """The items nearest to an item, by a model's vectors (cosine) or its weights from item to item."""
    from ..recsys.serving import similar as near

    rows = near(model, item, k)
    if as_json:
        return print_json(rows.to_dict("records"))
    head = ("item", "title", "rank", "similar", "its title", "score")
    _print_rows(rows, head, ("item_id", "title", "rank", "similar_id", "similar_title", "score"))


@app.command(epilog=example("recloop vectors models/bpr vectors/bpr"))
def vectors(
    model: Model,
    out: Annotated[Path, typer.Argument(help="The new folder that the files are written into.")],
    items_only: Annotated[bool, typer.Option("--items-only", help="Without those of users; no data is read.")] = False,
    data: Data = None,
    at: At = "now",
    align: Align = False,
    settings: DataSet = None,
    as_json: Json = False,
) -> None:
    """Write a model's vectors of items and users, with their ids, as Parquet and .npy."""
    from ..recsys.serving import vectors as write

    result = write(model, out, data=data, items_only=items_only, at=at, align=align, settings=settings or [])
    print_json(result) if as_json else print_facts(result)


def _print_rows(rows: Any, head: tuple[str, ...], columns: tuple[str, ...]) -> None:
    table = Table(*head)
    for row in rows[list(columns)].itertuples(index=False):
        table.add_row(*(f"{value:.4f}" if isinstance(value, float) else str(value) for value in row))
    console(140).print(table)


def _print_verdict(verdict: Any) -> None:
    versus = [f"minus {verdict.against}", "p (Holm)"] if verdict.against else []
    table = Table("ranking", "group", "metric", "users", "mean [95 %]", *versus)
    for row in verdict.table.to_dict("records"):
        compared = math.isfinite(row["p_holm"])
        difference = f"{row['difference']:+.4f} [{row['d_low']:+.4f}, {row['d_high']:+.4f}]" if compared else ""
        cells = [difference, f"{row['p_holm']:.3g}" if compared else ""] if verdict.against else []
        mean = f"{row['mean']:.4f} [{row['low']:.4f}, {row['high']:.4f}]" if row["n"] else "-"
        table.add_row(row["ranking"], row["group"], row["metric"], str(row["n"]), mean, *cells)
    console(160).print(table)
    for name, protocol in verdict.protocols.items():
        lists = ", ".join(f"{metric} {value:.3f}" for metric, value in verdict.lists[name].items())
        print(f"{name}: {lists}")
        print("  " + ", ".join(f"{key}: {value}" for key, value in protocol.items()))
