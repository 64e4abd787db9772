"""`runs trace`: one user's loop, round by round, for somebody who has not seen the code.

Set, ranking, reasons, mismatch, claims with their evidence, what was rewritten, dropped, forgotten, kept or rolled
back: all of it stands in the record's payload. How a step is told stands in `trace_steps`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from ...agents.catalogue import item_texts
from ...agents.setwise.judgement import NAME
from ...agents.setwise.state import noop_share, walk_counts
from ...errors import RunError
from ...recsys.data.sources import load_split
from ...settings import checked, read_yaml
from ..batch.manifest import read_manifest
from ..batch.records import read_records
from ..studies.run_folder import STUDY
from ..studies.study import Study
from .trace_steps import claims_told, dropped_told, short, step_told, when, wrapped


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
    known, some = 0, ""
    for step in _walks(folder):
        records = read_records(step)
        known += len(records)
        some = some or next((found.partition(":")[2] for found in records["key"]), "")
        own = records[records["key"].eq(key)]
        if len(own):
            texts = item_texts(load_split(study.data).train)
            return {"run": name, "step": step.name, "user": user, **_told(own.iloc[0], texts)}
    such = f", such as {some!r}" if some else ""
    raise RunError(f"run {name!r} holds {known} set-wise walks and none of user {user!r}; ids are the data's own{such}")


def _walks(folder: Path) -> Iterator[Path]:
    for step in sorted([*(folder / "agents").glob("*/"), *(folder / "fidelity" / "asked").glob("own-walk-*/")]):
        manifest = read_manifest(step)
        if manifest is not None and manifest["identity"]["agent"] == NAME:
            yield step


def _told(record: pd.Series, texts: Mapping[int, str]) -> dict[str, Any]:
    if record["status"] != "ok":
        return {"status": record["status"], "text": f"{record['key']}: {record['status']}: {record['error']}"}
    payload = json.loads(record["payload"])
    told = walk_counts(payload)
    lines = [
        f"{record['key']}: {len(payload['steps'])} steps, {record['calls']} calls, "
        f"{record['prompt_tokens'] + record['completion_tokens']:,} tokens, answered by {record['model']}",
        wrapped(_summed(told, payload.get("acceptance", {})), "", "    "),
        "",
        *_legend(),
        "",
        "FIRST PROFILE, written from the beginning of the history:",
        *(
            f"    {when(place - len(payload['seed_history']))}: {short(texts[item], 76)}"
            for place, item in enumerate(payload["seed_history"])
        ),
        "  came to these claims, the strongest first:",
        *claims_told(payload["first_claims"], texts),
        *dropped_told(payload["first_dropped"], payload["first_crowded"]),
    ]
    for number, step in enumerate(payload["steps"], 1):
        lines += ["", *step_told(number, step, texts)]
    lines += ["", "THE PROFILE IN THE END:", *claims_told(payload["claims"], texts)]
    if payload["semantics"]:
        lines.append("  and the descriptions that were written of items:")
        lines += [
            wrapped(f"{short(texts[int(item)], 40)}: {text}", "    ", "        ")
            for item, text in payload["semantics"].items()
        ]
    if payload["settled"]:
        lines.append(
            f"  settled for good, for they swung: {', '.join(short(texts[i], 40) for i in payload['settled'])}"
        )
    return {"status": "ok", "payload": payload, "counts": told, "text": "\n".join(lines)}


def _summed(told: Mapping[str, int], acceptance: Mapping[str, int]) -> str:
    return (
        f"{told['claims']} claims were written; {told['uncited']} of them were dropped because they cited nothing, "
        f"{told['unshown']} because they cited what was not shown, {told['crowded_out']} had no room; "
        f"{told['forgotten']} were forgotten later. Of {told['rewrites']} rewrites {told['kept']} were kept, "
        f"{told['rolled_back']} rolled back for the list itself, {told['rolled_back_by_test']} for held-back lists and "
        f"{told['rolled_back_by_replay']} for earlier lists.{_noop(told, acceptance)}"
    )


def _noop(counts: Mapping[str, int], acceptance: Mapping[str, int]) -> str:
    share = noop_share(counts, acceptance.get("wins", 1), acceptance.get("lists", 0))
    if not counts["rewrites"]:
        return ""
    if not acceptance.get("lists"):
        return " Without held-back lists more than half of all rewrites without effect are kept, too."
    return f" Had no rewrite any effect, about {share * counts['rewrites']:.1f} would have been kept."


def _legend() -> list[str]:
    return [
        "How to read this. A step is one choice that the person made. The item chosen (*) is put among others, and the",
        "model, which is not told, ranks them set by set as that person. Mismatch says how far down it put the choice:",
        "0 first in each of its sets, 1 last. Where it is above 0 the truth is told, texts are rewritten (a round) and",
        "the list is judged again. [3] is an item's place in the list, A its letter in the set as the model saw it, P2",
        "a claim. A claim rests on choices: 'step 2' is one of those below, '4 before' one of the history before them.",
    ]
