"""`runs trace`: one user's loop, round by round, for somebody who has not seen the code.

Set, ranking, reasons, mismatch, claims with their evidence, what was rewritten, dropped, forgotten, kept or rolled
back: all of it stands in the record's payload. The lines of a step are made in `trace_steps`.
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
from ...recsys.data import Dataset
from ...recsys.data.sources import load_split
from ...settings import checked, read_yaml
from ..batch.manifest import read_manifest
from ..batch.records import read_records
from ..studies.run_folder import STUDY
from ..studies.step_identity import folder_of
from ..studies.steps import AGENTS, step_of
from ..studies.study import Study
from .trace_steps import claims_lines, dropped_lines, short, step_lines, when, wrapped


def runs_trace(name: str, user: str, out: Path | str = "runs", *, step: str | None = None) -> dict[str, Any]:
    """One user's walk as text (`text`) and as recorded (`payload`), with its step's folder.

    name: a run below `out`; user: the data's own id; step: the name of a step's folder. Without it the step is taken
    that the run's present settings name, so that the records of earlier settings in the folder are not shown for it.
    Raises RunError where there is no such run, step or user.
    """
    folder = Path(out) / name
    if not (folder / STUDY).is_file():
        raise RunError(f"no run {name!r} in {out}; `recloop runs list --out {out}` names them")
    # Its paths have been taken from the study file's folder already.
    study = checked(Study, {**read_yaml(folder / STUDY), "out": str(out)}, str(folder / STUDY))
    walks = {walk.name: walk for walk in _walks(folder)}
    if step is not None and step not in walks:
        raise RunError(f"run {name!r} has no set-wise step {step!r}; there are: {', '.join(walks) or 'none'}")
    train = load_split(study.data).train
    chosen = step if step is not None else _present(study, walks, train)
    if chosen is None:
        held = f"; other settings left {', '.join(walks)}: choose by --step" if walks else ""
        raise RunError(f"run {name!r} has no records of a set-wise step of its present settings{held}")
    records = read_records(walks[chosen])
    own = records[records["key"].eq(f"user:{user}")]
    if not len(own):
        keys = [key.partition(":")[2] for key in records["key"]]
        such = f", such as {keys[0]!r}" if keys else ""
        raise RunError(
            f"step {chosen} holds {len(keys)} set-wise walks and none of user {user!r}; ids are the data's own{such}"
        )
    report = _trace(own.iloc[0], item_texts(train))
    others = [walk for walk in walks if walk != chosen]
    head = f"Step {chosen} of run {name}." + (f" Others by --step: {', '.join(others)}." if others else "")
    return {"run": name, "step": chosen, "others": others, "user": user, **report, "text": f"{head}\n{report['text']}"}


def _present(study: Study, walks: Mapping[str, Path], train: Dataset) -> str | None:
    """The folder that the study's set-wise step has now, or the only walk of the fidelity protocols; None without.

    A set-wise step behind others reads what those have made: of such, the folder of its place is taken where there is
    one, and none where there are several.
    """
    for place, entry in enumerate(study.steps):
        [(name, settings)] = entry.items()
        if step_of(name) is not AGENTS["setwise"]:
            continue
        if place == 0:
            folder = folder_of(study, name, settings, train, study.folder / "agents" / "0")
            return folder.name if folder.name in walks else None
        behind = [walk for walk in walks if walk.startswith(f"{place}-")]
        return behind[0] if len(behind) == 1 else None
    return next(iter(walks)) if len(walks) == 1 else None


def _walks(folder: Path) -> Iterator[Path]:
    for step in sorted([*(folder / "agents").glob("*/"), *(folder / "fidelity" / "asked").glob("own-walk-*/")]):
        manifest = read_manifest(step)
        if manifest is not None and manifest["identity"]["agent"] == NAME:
            yield step


def _trace(record: pd.Series, texts: Mapping[int, str]) -> dict[str, Any]:
    if record["status"] != "ok":
        return {"status": record["status"], "text": f"{record['key']}: {record['status']}: {record['error']}"}
    payload = json.loads(record["payload"])
    counts = walk_counts(payload)
    lines = [
        f"{record['key']}: {len(payload['steps'])} steps, {record['calls']} calls, "
        f"{record['prompt_tokens'] + record['completion_tokens']:,} tokens, answered by {record['model']}",
        wrapped(_summed(counts, payload.get("acceptance", {})), "", "    "),
        "",
        *_legend(),
        "",
        "FIRST PROFILE, written from the beginning of the history:",
        *(
            f"    {when(place - len(payload['seed_history']))}: {short(texts[item], 76)}"
            for place, item in enumerate(payload["seed_history"])
        ),
        "  came to these claims, the strongest first:",
        *claims_lines(payload["first_claims"], texts),
        *dropped_lines(payload["first_dropped"], payload["first_crowded"]),
    ]
    for number, step in enumerate(payload["steps"], 1):
        lines += ["", *step_lines(number, step, texts)]
    lines += ["", "THE PROFILE IN THE END:", *claims_lines(payload["claims"], texts)]
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
    return {"status": "ok", "payload": payload, "counts": counts, "text": "\n".join(lines)}


def _summed(counts: Mapping[str, int], acceptance: Mapping[str, int]) -> str:
    return (
        f"{counts['claims']} claims were written; {counts['uncited']} of them were dropped because they cited nothing, "
        f"{counts['unshown']} because they cited what was not shown, {counts['crowded_out']} had no room; "
        f"{counts['forgotten']} were forgotten later. Of {counts['rewrites']} rewrites {counts['kept']} were kept, "
        f"{counts['rolled_back']} rolled back for the list itself, {counts['rolled_back_by_test']} for held-back "
        f"lists and {counts['rolled_back_by_replay']} for earlier lists.{_noop(counts, acceptance)}"
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
