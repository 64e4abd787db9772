"""Protocol 7: does the model judge, or remember? Recitation, hidden titles, and a catalogue that nobody has published.

`recites`: the next title of a user's list, and the rest of a title, asked for word for word. `hidden`: the taste
protocol (1:1, popularity-matched) with titles and without; what survives is the share of the AUC above chance that is
left. `bazaar`: the same on the built-in fictional shop, where there is nothing to remember.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from ...agents.chat.types import Facts
from ...recsys.data import DataConfig, Dataset, Split
from ...recsys.data.sources import load_split
from ...recsys.evaluation import interval, paired
from .agentcf import nobody
from .bench import FidelityBench
from .cases import Case
from .content import years
from .outcome import Outcome, cost, tidy
from .plain import PlainRequest, Recited
from .recorded import recorded_answers
from .rows import ONCE, Answers
from .scoring import auc
from .taste import PROMPT, cases_of, references

TITLED, HIDDEN, BAZAAR = "taste, titles shown", "taste, titles hidden", "taste, bazaar"
NEXT, REST = "recites the next title", "recites the rest of a title"
GUESS = "best guess (follows most often)"
_WORD = re.compile(r"[^\W_]+")


async def contamination(bench: FidelityBench) -> Outcome:
    """Recitation, and AUC with titles shown, hidden, and of the fictional catalogue."""
    config = bench.config.contamination
    users = bench.users(1, config.users)
    if not users:
        return Outcome("contamination", skipped=nobody(bench, 1))
    values, costs, notes = await _recitation(bench, users)
    taken = max(1, bench.config.taste.items // 2)
    tasters = bench.users(taken, config.users)
    if not tasters:
        notes.append(f"{TITLED}: left out, {nobody(bench, taken)}")
    else:
        hidden = bench.on(masked(bench.split), "hidden")
        cases = cases_of(bench, tasters, taken, 1, "popularity")
        parts = [(TITLED, bench)]
        if any(hidden.field.known.items["categories"]):
            parts.append((HIDDEN, hidden))
        else:
            notes.append(f"{HIDDEN}: left out, the catalogue says nothing but titles")
        for variant, where in parts:
            table, paid = await _tasted(where, variant, cases)
            values, costs = [*values, *table], [*costs, *paid]
        notes += survival(pd.concat(values, ignore_index=True), TITLED, HIDDEN)
    if len(bench.config.taste.recorded) > 1:
        table, remarks = _recorded(bench)
        values, notes = [*values, *table], [*notes, *remarks]
    if config.bazaar_users and bench.study.data.source != "bazaar":
        table, paid, remarks = await _bazaar(bench)
        values, costs, notes = [*values, *table], [*costs, *paid], [*notes, *remarks]
    return Outcome("contamination", pd.concat(values, ignore_index=True), costs, notes)


def masked(split: Split) -> Split:
    """The split with every title replaced by the item's number; its year goes to the categories, nothing else is left
    of what could have been memorised word for word."""
    items = split.train.items
    year = years(split.train)
    stated = [f"{int(y)}" if np.isfinite(y) else "" for y in year]
    categories = [", ".join(part for part in pair if part) for pair in zip(stated, items["categories"], strict=True)]
    hidden = items.drop(columns=[c for c in ("description", "tags") if c in items])
    hidden = hidden.assign(title=[f"item {code}" for code in range(len(items))], categories=categories)
    return Split(*(side.with_(items=hidden) for side in (split.train, split.valid, split.test)))


def survival(values: pd.DataFrame, with_titles: str, hidden: str) -> list[str]:
    """A sentence an agent row: what hiding the titles takes, and which share of the AUC above .5 is left."""
    notes = []
    part = values[values["metric"].eq("auc") & values["variant"].isin([with_titles, hidden])]
    for row, own in part[part["kind"] != "reference"].groupby("row", sort=False):
        wide = own.pivot(index="user", columns="variant", values="value")
        if hidden not in wide or with_titles not in wide:
            continue
        loss = paired(wide[with_titles], wide[hidden], np.random.default_rng(5))
        before, after = wide[with_titles].mean() - 0.5, wide[hidden].mean() - 0.5
        share = f"{after / before:.0%} of the AUC above chance survives" if before > 0.02 else "there is none to lose"
        notes.append(f"{row}: titles add {loss.mean:+.3f} [{loss.low:+.3f}, {loss.high:+.3f}] to the AUC; {share}")
    return notes


async def _tasted(
    bench: FidelityBench, variant: str, cases: list[Case]
) -> tuple[list[pd.DataFrame], list[dict[str, object]]]:
    rows = [*references(bench, cases), *await bench.agents(variant, cases, PROMPT)]
    values = [_auc(bench.field.known, variant, cases, row) for row in rows]
    return values, [cost(variant, row, bench.walk_cost) for row in rows if row.kind in ("plain", "loop")]


def _auc(known: Dataset, variant: str, cases: list[Case], row: Answers, name: str | None = None) -> pd.DataFrame:
    aucs = [auc(case, scores) for case, scores in zip(cases, row.scores, strict=True)]
    return tidy(known, variant, name or row.row, row.kind, [case.user for case in cases], {"auc": aucs})


def _recorded(bench: FidelityBench) -> tuple[list[pd.DataFrame], list[str]]:
    """The recorded taste scores: the first file is of titles shown, the second of titles hidden."""
    cases, rows = recorded_answers(bench.config.taste.recorded, bench.field, "score")
    variants = ("recorded, titles shown", "recorded, titles hidden")
    values = []
    for variant, row in zip(variants, rows[:2], strict=True):
        values += [_auc(bench.field.known, variant, cases, one) for one in references(bench, cases)]
        values.append(_auc(bench.field.known, variant, cases, row, "recorded"))
    return values, survival(pd.concat(values, ignore_index=True), *variants)


async def _bazaar(bench: FidelityBench) -> tuple[list[pd.DataFrame], list[dict[str, object]], list[str]]:
    split = load_split(DataConfig(source="bazaar", split={"leave_last_out": {"valid": 0, "test": 10}}))
    bazaar_bench = bench.on(split, "bazaar")
    users = bazaar_bench.users(10, bench.config.contamination.bazaar_users)
    cases = cases_of(bazaar_bench, users, 10, 1, "popularity")
    values, costs = await _tasted(bazaar_bench, BAZAAR, cases)
    return values, costs, [f"{BAZAAR}: {len(users)} users of the fictional catalogue (seed 0)"]


async def _recitation(
    bench: FidelityBench, users: Sequence[int]
) -> tuple[list[pd.DataFrame], list[dict[str, object]], list[str]]:
    """Exact matches, a user each, beside what the train side alone lets one guess."""
    known, n_titles = bench.field.known, bench.config.contamination.history_titles
    titles = known.items["title"].astype(str).tolist()
    able = [user for user in users if known.user_counts[user] > n_titles]
    requests, truth, guess = [], [], []
    follows = _followers(bench.split.train)
    for user in able:
        history = known.history(user)
        listed = [titles[item] for item in history[:n_titles]]
        truth.append(titles[int(history[n_titles])])
        # The guess must not rest on the very pair that is asked for.
        guess.append(titles[_most_frequent(follows, int(history[n_titles - 1]), int(history[n_titles]))])
        variables = {"dataset": known.name, "history": listed}
        requests.append(
            PlainRequest(bench.key(user), "fidelity/next_title", variables, Recited, Facts("recite", variables))
        )
    values, costs, notes = await _probe(bench, NEXT, able, requests, truth, guess)
    long = [u for u in users if len(_WORD.findall(titles[int(known.history(u)[-1])])) >= 3]
    requests, truth = [], []
    for user in long:
        title = titles[int(known.history(user)[-1])]
        words = title.split()
        variables = {"dataset": known.name, "beginning": " ".join(words[: (len(words) + 1) // 2])}
        requests.append(
            PlainRequest(bench.key(user), "fidelity/complete_title", variables, Recited, Facts("recite", variables))
        )
        truth.append(title)
    more, paid, remarks = await _probe(bench, REST, long, requests, truth, [""] * len(long))
    return [*values, *more], [*costs, *paid], [*notes, *remarks]


async def _probe(
    bench: FidelityBench,
    variant: str,
    users: Sequence[int],
    requests: Sequence[PlainRequest],
    truth: Sequence[str],
    guess: Sequence[str],
) -> tuple[list[pd.DataFrame], list[dict[str, object]], list[str]]:
    if not users:
        return [], [], [f"{variant}: left out, no history or title is long enough"]
    records, calls, tokens = await bench.ask_plain(variant, requests)
    given = [records[bench.key(u)]["title"] if bench.key(u) in records else None for u in users]
    hit = [float("nan") if g is None else float(_plain(g) == _plain(t)) for g, t in zip(given, truth, strict=True)]
    base = [float(bool(g) and _plain(g) == _plain(t)) for g, t in zip(guess, truth, strict=True)]
    known = bench.field.known
    values = [
        tidy(known, variant, GUESS, "reference", users, {"exact": base}),
        tidy(known, variant, ONCE, "plain", users, {"exact": hit}),
    ]
    estimate = interval(hit, np.random.default_rng(6))
    note = f"{variant}: {estimate.mean:.1%} [{estimate.low:.1%}, {estimate.high:.1%}] of {estimate.n} word for word"
    return values, [{"variant": variant, "row": ONCE, "calls": calls, "tokens": tokens}], [note]


def _followers(train: Dataset) -> dict[int, dict[int, int]]:
    """Item -> how often each other one came right after it in a train history."""
    followers: dict[int, dict[int, int]] = {}
    same = train.user[1:] == train.user[:-1]
    for before, after in zip(train.item[:-1][same].tolist(), train.item[1:][same].tolist(), strict=True):
        counts = followers.setdefault(before, {})
        counts[after] = counts.get(after, 0) + 1
    return followers


def _most_frequent(follows: dict[int, dict[int, int]], item: int, own: int) -> int:
    """What follows an item most often, its one occurrence in the very history that is asked about taken off."""
    counts = {after: n - (after == own) for after, n in follows.get(item, {}).items()}
    return max(counts, key=lambda after: (counts[after], -after)) if counts else item


def _plain(text: str) -> str:
    return " ".join(word.lower() for word in _WORD.findall(text))
