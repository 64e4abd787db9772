"""Protocol 4: predicted ratings against the user's own: distribution and error, before and after calibration.

Language models overestimate ratings. The two calibrations are fitted on the end of the known history, which is hidden
from the prompt that predicts it: one minimises the error, the other matches the user's own rating distribution.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from ...agents.chat.handles import handles_for
from ...agents.chat.types import Facts
from ...agents.setwise.judgement import claim_handles
from ...recsys.data import Dataset
from .agentcf import nobody
from .bench import FidelityBench
from .calibration import SHRINK, Scale, to_distribution, to_error
from .cases import Case
from .outcome import Outcome, cost, tidy
from .plain import PlainRequest, ratings_reply
from .references import References
from .rows import LOOP, ONCE, Answers

Doubles = npt.NDArray[np.float64]
PROMPT, BY_CLAIMS = "fidelity/rate", "fidelity/rate_as"
MEANS = ("user mean", "user + item mean")
BEFORE, FOR_ERROR, FOR_SPREAD = "as predicted", "calibrated for error", "calibrated for spread"


async def ratings(bench: FidelityBench) -> Outcome:
    """RMSE, MAE, bias, total variation and Jensen-Shannon divergence a user, as predicted and calibrated."""
    if not bench.rated:
        return Outcome("ratings", skipped="the data holds no ratings that differ, so there is none to predict")
    field, items = bench.field, bench.config.ratings.items
    rows_able = field.chosen(bench.config.users, min(items, 2), items + bench.config.min_history, bench.study.seed)
    if not rows_able:
        return Outcome("ratings", skipped=nobody(bench, 2))
    early, late = _parted(field.known, rows_able, items)
    scale = Scale.of(field.known.value.astype(np.float64))
    fit = [_taken(user, late, items) for user in rows_able]
    test = [_taken(user, field.held, items) for user in rows_able]
    own_fit, own_test = ([_values(case, side) for case in cases] for cases, side in ((fit, late), (test, field.held)))
    scored = References(early, early, bench.study.train.threads)
    predicted = _means(early, fit), _means(early, test)
    before: dict[str, tuple[list[Doubles | None], list[Doubles | None]]] = {
        name: (list(predicted[0][name]), list(predicted[1][name])) for name in MEANS
    }
    fit_scores, test_scores = scored.scores(fit), scored.scores(test)
    fit_asked = await _ask_ratings(bench, "calibrate", early, fit, scale)
    test_asked = await _ask_ratings(bench, "test", field.known, test, scale)
    before[ONCE] = (list(fit_asked.scores), list(test_asked.scores))
    loop = await _by_loop(bench, test, scale) if bench.config.loop else None
    values: dict[str, list[pd.DataFrame]] = {variant: [] for variant in (BEFORE, FOR_ERROR, FOR_SPREAD)}
    users = [case.user for case in test]
    rated = [_all_values(user, field.known) for user in users]
    spread = {"own": scale.shares(np.concatenate(own_test)).tolist()}
    for name in (*fit_scores, *MEANS, ONCE):
        kind = "plain" if name == ONCE else "reference"
        past, new = before.get(name) or (list(fit_scores[name]), list(test_scores[name]))
        made = {BEFORE: new} if name in before else {}
        made |= {FOR_ERROR: to_error(past, own_fit, new, scale), FOR_SPREAD: to_distribution(past, rated, new)}
        for variant, predictions in made.items():
            values[variant].append(tidy(field.known, variant, name, kind, users, _errors(predictions, own_test, scale)))
            spread[f"{name}, {variant}"] = _shares(predictions, scale)
    if loop is not None:
        errors = _errors(loop.scores, own_test, scale)
        values[BEFORE].append(tidy(field.known, BEFORE, LOOP, "loop", users, errors))
        spread[f"{LOOP}, {BEFORE}"] = _shares(loop.scores, scale)
    costs: list[dict[str, Any]] = [
        {"variant": part, "row": ONCE, "calls": a.calls, "tokens": a.tokens, "missing": a.missing}
        for part, a in (("calibration", fit_asked), ("test", test_asked))
    ]
    costs += [cost(BEFORE, loop, bench.walk_cost)] if loop is not None else []
    notes = [
        f"{len(users)} users rate up to {items} held-out items each; the last {items} known ratings of each calibrate",
        "scores of popularity, ItemKNN, EASE and content are no ratings: they have a row only after calibration; "
        "`random` tells nothing and becomes the user's shrunken mean, or median",
    ]
    detail = {"points": scale.points.tolist(), "shares": spread}
    table = pd.concat([part for parts in values.values() for part in parts], ignore_index=True)
    return Outcome("ratings", table, costs, notes, detail=detail)


def total_variation(a: Doubles, b: Doubles) -> float:
    """Half the L1 distance of two distributions, 0 to 1."""
    return float(np.abs(a - b).sum() / 2)


def jensen_shannon(a: Doubles, b: Doubles) -> float:
    """Jensen-Shannon divergence of two distributions in bits, 0 to 1 (Lin 1991)."""
    middle = (a + b) / 2

    def divergence(p: Doubles) -> float:
        held = p > 0
        return float((p[held] * np.log2(p[held] / middle[held])).sum())

    return (divergence(a) + divergence(b)) / 2


def _errors(predicted: Sequence[Doubles | None], own: Sequence[Doubles], scale: Scale) -> dict[str, list[float]]:
    """`bias` is the mean of predicted - own: above 0 is kinder than the person."""
    errors: dict[str, list[float]] = {name: [] for name in ("rmse", "mae", "bias", "tv", "js")}
    for values, truth in zip(predicted, own, strict=True):
        if values is None:
            for column in errors.values():
                column.append(float("nan"))
            continue
        error = values - truth
        a, b = scale.shares(values), scale.shares(truth)
        errors["rmse"].append(float(np.sqrt((error**2).mean())))
        errors["mae"].append(float(np.abs(error).mean()))
        errors["bias"].append(float(error.mean()))
        errors["tv"].append(total_variation(a, b))
        errors["js"].append(jensen_shannon(a, b))
    return errors


def _shares(values: Sequence[Doubles | None], scale: Scale) -> list[float]:
    answered = [v for v in values if v is not None]
    return scale.shares(np.concatenate(answered)).tolist() if answered else []


def _parted(known: Dataset, users: Sequence[int], items: int) -> tuple[Dataset, Dataset]:
    """The known history without, and only, the last `items` of each of these users."""
    from_end = known.indptr[known.user + 1] - 1 - np.arange(len(known))
    late = (from_end < items) & np.isin(known.user, users)
    return known.rows(~late), known.rows(late)


def _taken(user: int, side: Dataset, items: int) -> Case:
    """The first `items` of a side, all of them taken; shown in order of item code, which tells nothing."""
    items_taken = tuple(sorted({int(item) for item in side.history(user)[:items]}))
    return Case(user, items_taken, (True,) * len(items_taken))


def _values(case: Case, side: Dataset) -> Doubles:
    rows = slice(side.indptr[case.user], side.indptr[case.user + 1])
    given = dict(zip(side.item[rows].tolist(), side.value[rows].tolist(), strict=True))
    return np.array([given[item] for item in case.candidates], np.float64)


def _all_values(user: int, side: Dataset) -> Doubles:
    return side.value[side.indptr[user] : side.indptr[user + 1]].astype(np.float64)


def _means(early: Dataset, cases: Sequence[Case]) -> dict[str, list[Doubles]]:
    """The mean rating of each user; and that plus the item's own shrunken deviation (Koren 2009, baseline)."""
    value = early.value.astype(np.float64)
    mean = float(value.mean())
    counts = np.maximum(early.user_counts, 1)
    user = np.bincount(early.user, value - mean, minlength=early.n_users) / (counts + SHRINK)
    left = value - mean - user[early.user]
    item = np.bincount(early.item, left, minlength=early.n_items) / (early.item_counts + SHRINK)
    return {
        MEANS[0]: [np.full(len(c.candidates), mean + user[c.user]) for c in cases],
        MEANS[1]: [mean + user[c.user] + item[list(c.candidates)] for c in cases],
    }


async def _by_loop(bench: FidelityBench, cases: Sequence[Case], scale: Scale) -> Answers:
    """The same question with the claims that the set-wise loop has learnt; users whose walk failed have no answer.

    Not calibrated: the walk has been through the very ratings that calibrate.
    """
    walked = await bench.walk([case.user for case in cases])
    payloads = map(json.loads, walked.loc[walked["status"].eq("ok"), "payload"])
    claims = {payload["user"]: [claim["text"] for claim in payload["claims"]] for payload in payloads}
    answers = await _ask_ratings(
        bench, "loop", bench.field.known, [c for c in cases if c.user in claims], scale, claims
    )
    given = iter(answers.scores)
    scores = [next(given) if case.user in claims else None for case in cases]
    return Answers(LOOP, "loop", scores, scores, answers.calls, answers.tokens)


async def _ask_ratings(
    bench: FidelityBench,
    part: str,
    history: Dataset,
    cases: Sequence[Case],
    scale: Scale,
    claims: Mapping[int, Sequence[str]] | None = None,
) -> Answers:
    """The model's ratings of each case's items, beside the last rated items of `history` and claims about the user."""
    requests = []
    for case in cases:
        rows = slice(history.indptr[case.user], history.indptr[case.user + 1])
        items, values = history.item[rows].tolist(), history.value[rows].tolist()
        last = list(zip(items, values, strict=True))[-bench.config.history :]
        handles = handles_for(len(case.candidates))
        options = {h: bench.texts[item] for h, item in zip(handles, case.candidates, strict=True)}
        variables: dict[str, Any] = {
            "history": [f"{bench.texts[item]} | rated {value:g}" for item, value in last],
            "options": options,
            "low": f"{scale.low:g}",
            "high": f"{scale.high:g}",
            "step": f"{scale.step:g}",
        }
        prompt = PROMPT
        if claims is not None:
            own = claims[case.user]
            variables["claims"] = dict(zip(claim_handles(len(own)), own, strict=True))
            prompt = BY_CLAIMS
        facts = Facts(
            "rate",
            {
                "rated": [(bench.texts[item], value) for item, value in last],
                "options": options,
                "low": scale.low,
                "high": scale.high,
                "step": scale.step,
            },
        )
        reply = ratings_reply(handles, scale.low, scale.high)
        requests.append(PlainRequest(bench.key(case.user), prompt, variables, reply, facts))
    records, calls, tokens = await bench.ask_plain(f"ratings-{part}", requests)
    scores: list[Doubles | None] = []
    for case in cases:
        payload = records.get(bench.key(case.user))
        if payload is None:
            scores.append(None)
            continue
        given = {entry["item"]: float(entry["rating"]) for entry in payload["ratings"]}
        scores.append(np.array([given[h] for h in handles_for(len(case.candidates))]))
    return Answers(ONCE, "plain", scores, scores, calls, tokens)
