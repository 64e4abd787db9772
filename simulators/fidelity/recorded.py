"""Answers that were recorded elsewhere, read as rows: JSONL of rankings or of scores, by the data's own ids."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import DataError
from ...recsys.data import Dataset
from .cases import Case, Field
from .rows import Answers

SCALE = 100.0
"""Recorded scores lie in [0, SCALE]."""


def recorded_answers(files: Mapping[str, Path], field: Field, key: str) -> tuple[list[Case], list[Answers]]:
    """The lists that the files hold and each file's answers to them.

    key: `ranking` (a line is {user, candidates, ranking}, ids best first) or `score` ({user, items, score}, in the
    order of items). What was taken is told by the held-out side. All files must hold the same
    lists; the order of lines may differ.
    DataError names file, line and remedy.
    """
    cases: list[Case] = []
    answers = []
    for name, path in files.items():
        lines = _lines(path, key, field.known)
        if not cases:
            cases = [_case(user, candidates, field, path) for user, (candidates, _) in lines.items()]
        given: list[npt.NDArray[np.float64]] = []
        for case in cases:
            if case.user not in lines or lines[case.user][0] != case.candidates:
                user_id = field.known.users["user_id"].iat[case.user]
                raise DataError(f"{path}: no answer to the list of user {user_id!r} that the first recorded file holds")
            given.append(lines[case.user][1])
        answers.append(Answers(name, "recorded", given, given))
    return cases, answers


def _lines(path: Path, key: str, known: Dataset) -> dict[int, tuple[tuple[int, ...], npt.NDArray[np.float64]]]:
    users = {str(user_id): code for code, user_id in enumerate(known.users["user_id"])}
    items = {str(item_id): code for code, item_id in enumerate(known.items["item_id"])}
    listed = "candidates" if key == "ranking" else "items"
    lines = {}
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: recorded answers cannot be read ({error}); name a JSONL file") from error
    for number, line in enumerate(text.splitlines(), 1):
        try:
            entry = json.loads(line)
            user, candidates = users[str(entry["user"])], tuple(items[str(item)] for item in entry[listed])
            lines[user] = candidates, _scores(entry, key, candidates, items)
        except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path}, line {number}: {type(error).__name__} {error}; a line is "
                f'{{"user": id, "{listed}": [ids], "{key}": [...]}} with ids of dataset {known.name!r}'
            ) from error
    if not lines:
        raise DataError(f"{path} is empty; a line a user was expected")
    return lines


def _scores(
    entry: Mapping[str, Any], key: str, candidates: tuple[int, ...], items: Mapping[str, int]
) -> npt.NDArray[np.float64]:
    if key == "ranking":
        place = {items[str(item)]: rank for rank, item in enumerate(entry["ranking"])}
        if place.keys() != set(candidates):
            raise ValueError("the ranking does not hold each candidate once")
        return np.array([-float(place[item]) for item in candidates])
    if len(entry["score"]) != len(candidates):
        raise ValueError("items and scores differ in number")
    return np.array(entry["score"], np.float64) / SCALE


def _case(user: int, candidates: tuple[int, ...], field: Field, path: Path) -> Case:
    taken = tuple(bool(t) for t in np.isin(candidates, field.held.history(user)))
    if not any(taken) or all(taken):
        raise DataError(
            f"{path}: of the items recorded for user {field.known.users['user_id'].iat[user]!r} "
            f"{'none' if not any(taken) else 'all'} are held out; give the study the split they were drawn from"
        )
    return Case(user, candidates, taken)
