"""`runs trace`: one user's loop, round by round, for somebody who has not seen the code.

Set, ranking, reasons, mismatch, what was rewritten, kept or rolled back: all of it stands in the record's payload.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import pandas as pd

from ..agents.catalogue import item_texts
from ..agents.chat.handles import handles_for
from ..agents.setwise.machine import NAME
from ..errors import RunError
from ..recsys.data import Dataset
from ..recsys.data.sources import load_split
from ..settings import checked, read_yaml
from .manifest import read_manifest
from .records import read_records
from .run import STUDY
from .study import Study

WIDTH = 110


def runs_trace(name: str, user: str, out: Path | str = "runs") -> dict[str, Any]:
    """One user's walk as text (`text`) and as recorded (`payload`), with its step's folder.

    name: a run below `out`; user: the data's own id. Where several set-wise steps or fidelity walks were recorded, the
    first that holds the user is shown. Raises RunError where there is no such run or user.
    """
    folder = Path(out) / name
    if not (folder / STUDY).is_file():
        raise RunError(f"no run {name!r} in {out}; `recloop runs list --out {out}` names them")
    # Its paths have been taken from the study file's folder already.
    study = checked(Study, read_yaml(folder / STUDY), str(folder / STUDY))
    key = f"user:{user}"
    known = 0
    for step in _walks(folder):
        records = read_records(step)
        known += len(records)
        own = records[records["key"].eq(key)]
        if len(own):
            train = load_split(study.data).train
            return {"run": name, "step": step.name, "user": user, **_told(own.iloc[0], train)}
    raise RunError(f"run {name!r} holds {known} set-wise walks and none of user {user!r}; ids are the data's own")


def _walks(folder: Path) -> Iterator[Path]:
    for step in sorted([*(folder / "agents").glob("*/"), *(folder / "fidelity" / "asked").glob("own-walk-*/")]):
        manifest = read_manifest(step)
        if manifest is not None and manifest["identity"]["agent"] == NAME:
            yield step


def _told(record: pd.Series, train: Dataset) -> dict[str, Any]:
    if record["status"] != "ok":
        return {"status": record["status"], "text": f"{record['key']}: {record['status']}: {record['error']}"}
    payload = json.loads(record["payload"])
    texts = item_texts(train)
    lines = [
        f"{record['key']}: {len(payload['steps'])} steps, {record['calls']} calls, "
        f"{record['prompt_tokens'] + record['completion_tokens']:,} tokens, answered by {record['model']}",
        "",
        "First profile, written from the beginning of the history:",
        _wrapped(payload["first_profile"], "    "),
    ]
    for number, step in enumerate(payload["steps"], 1):
        lines += ["", *_step(number, step, texts)]
    return {"status": "ok", "payload": payload, "text": "\n".join(lines)}


def _step(number: int, step: Mapping[str, Any], texts: Mapping[int, str]) -> Iterator[str]:
    items = [texts[item] for item in step["candidates"]]
    yield f"STEP {number}. The person took: {_short(items[step['positive']])}"
    yield f"    It was put among {len(items) - 1} others:"
    for place, text in enumerate(items):
        mark = "*" if place == step["positive"] else " "
        yield f"     {mark} [{place + 1}] {_short(text)}"
    for note in step["notes"]:
        yield _wrapped(f"remembered: {note}", "    ", "        ")
    best = None
    for place, round_ in enumerate(step["rounds"]):
        yield from _round(place, round_, step, best)
        best = round_["mismatch"] if round_["kept"] else best


def _round(number: int, round_: Mapping[str, Any], step: Mapping[str, Any], best: float | None) -> Iterator[str]:
    yield ""
    if number:
        yield f"  Round {number}. Reflection, because the person's choice was not put first:"
        if round_.get("lesson"):
            yield _wrapped(f"lesson: {round_['lesson']}", "    ", "        ")
        yield _wrapped(
            f"profile rewritten: {round_['profile']}" if round_.get("profile") else "profile as it was",
            "    ",
            "        ",
        )
        for item, text in round_.get("semantics", {}).items():
            place = step["candidates"].index(int(item)) + 1 if int(item) in step["candidates"] else "-"
            yield _wrapped(f"description of [{place}] rewritten: {text}", "    ", "        ")
        yield "    Judged again:"
    else:
        yield "  Round 0. Judged with the profile as it stood; best first, as letter shown, [place in the list], score:"
    for place, judged in enumerate(round_["sets"], 1):
        yield f"    set {place}: " + " > ".join(_graded(judged, step))
        yield _wrapped(f"because {judged['reason']}", "        ", "        ")
    order = " > ".join(f"[{p + 1}]{'*' if p == step['positive'] else ''}" for p in round_["order"])
    yield f"    merged: {order}"
    rank = round_["order"].index(step["positive"]) + 1
    yield f"    mismatch {round_['mismatch']:.3f} (0: first in each of its sets, 1: last); merged rank {rank}"
    if number:
        before = f" (before: {best:.3f})" if best is not None else ""
        verdict = "kept: the mismatch did not rise" if round_["kept"] else "rolled back: the mismatch rose"
        if round_["kept"] and best is not None and round_["mismatch"] > best:
            verdict = "kept without a test: the acceptance test is off"
        yield f"    => {verdict}{before}"


def _graded(judged: Mapping[str, Sequence[Any]], step: Mapping[str, Any]) -> list[str]:
    """Each item of a set, best first: the letter that the model knew it by, its place in the list, its score."""
    letters = _letters(judged["ranking"], len(step["candidates"]))
    return [
        f"{letters[place]}[{place + 1}]{'*' if place == step['positive'] else ''} {score:.2f}"
        for place, score in zip(judged["ranking"], judged["scores"], strict=True)
    ]


def _letters(places: Sequence[int], count: int) -> dict[int, str]:
    """A set is a window that may wrap round: its first place is the one whose neighbour before is not in it."""
    members = set(places)
    start = next((p for p in sorted(members) if (p - 1) % count not in members), 0)
    in_order = sorted(members, key=lambda place: (place - start) % count)
    return dict(zip(in_order, handles_for(len(in_order)), strict=True))


def _short(text: str, width: int = 88) -> str:
    return text if len(text) <= width else f"{text[: width - 3].rstrip()}..."


def _wrapped(text: str, indent: str, hanging: str | None = None) -> str:
    return fill(" ".join(text.split()), WIDTH, initial_indent=indent, subsequent_indent=hanging or indent)
