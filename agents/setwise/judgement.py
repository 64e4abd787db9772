"""Judging candidates in sets: partition, one call a set, merge of the rankings, and the mismatch with the true item.

Overlapping sets and a set-wise mismatch are SRLF's (arXiv 2511.11370, abstract); windows, Borda merge, the form of the
mismatch and the acceptance test are our own, because the paper's are not public.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, create_model

from ...errors import ConfigError
from ..agent import Tools
from ..chat.handles import handles_for, ranking_reply
from ..prompt_call import AgentSetup, call_prompt, gather_all

NAME = "setwise"
MergeBy = Literal["rank", "score"]


def windows(count: int, size: int, stride: int) -> list[tuple[int, ...]]:
    """Positions 0..count-1 in sets of `size`, each starting `stride` after the last, wrapping round.

    Every position lies in size / stride sets, so every item is judged equally often: 10, 4, 2 gives 5 sets and two
    judgements an item. `stride == size` gives disjoint sets, the last one smaller where `size` does not divide `count`;
    `size >= count` gives one set.
    Raises ConfigError where equal exposure is impossible.
    """
    if size < 1 or not 1 <= stride <= size:
        raise ConfigError(f"set_size {size} and stride {stride}: stride must lie in 1..set_size")
    if size >= count:
        return [tuple(range(count))]
    if stride == size:
        return [tuple(range(start, min(start + size, count))) for start in range(0, count, size)]
    if size % stride or count % stride:
        raise ConfigError(
            f"set_size {size}, stride {stride}, {count} candidates: items would be judged unequally often; "
            "stride must divide both set_size and the number of candidates"
        )
    return [tuple((start + offset) % count for offset in range(size)) for start in range(0, count, stride)]


def partitions(
    count: int, size: int, stride: int, dealings: int = 1, rng: np.random.Generator | None = None
) -> list[tuple[int, ...]]:
    """The sets of `dealings` partitions; members in the order in which they are shown.

    Without `rng`: one partition, `windows` on the list as it stands (candidates are shuffled already). With `rng`: each
    partition is `windows` on a new random order. Two partitions into disjoint sets judge every item twice and connect
    items that one partition separates.
    """
    plain = windows(count, size, stride)
    if rng is None:
        return plain
    orders = [[int(place) for place in rng.permutation(count)] for _ in range(dealings)]
    return [tuple(order[place] for place in window) for order in orders for window in plain]


@dataclass(frozen=True, slots=True)
class RankedSet:
    """The model's ranking of one set: positions best first, a score in [0, 1] for each, and the reason."""

    ranking: tuple[int, ...]
    scores: tuple[float, ...]
    reason: str = ""
    shown_order: tuple[int, ...] = ()
    """The positions in the order of the handles A, B, ..."""
    cited: tuple[int, ...] = ()
    """Indices of the profile's claims that decided."""


@dataclass(frozen=True, slots=True)
class Merged:
    """One order over all candidates. Sequences are indexed by position, except `order`, which is best first."""

    order: tuple[int, ...]
    borda: tuple[float, ...]
    """Mean normalised rank over the sets an item lies in: 0 always first, 1 always last."""
    scores: tuple[float, ...]
    """Mean graded score over those sets, in [0, 1]."""

    def place(self, position: int) -> float:
        """Where an item stands in the whole order: 0 first, 1 last."""
        return self.order.index(position) / max(1, len(self.order) - 1)


def merge(sets: Sequence[RankedSet], count: int, by: MergeBy = "rank") -> Merged:
    """The order of `count` candidates by the rankings of all sets.

    rank: by mean normalised rank over an item's sets (Borda); ties by wins over the items it shares a set with, then by
    mean score, then by position, which is random because candidates are shuffled. Sets of one item have no
    ranks, so point-wise judgements (`set_size: 1`) are ordered by score.

    score: by mean graded score, made to fall along each set's ranking (`levelled`), ties by rank as above. Inside a set
    the ranking decides, between sets the scores: what disjoint sets need, whose ranks cannot be compared.
    """
    ranks: list[list[float]] = [[] for _ in range(count)]
    scores: list[list[float]] = [[] for _ in range(count)]
    wins = [0] * count
    for ranked in sets:
        last = len(ranked.ranking) - 1
        given = levelled(ranked.scores) if by == "score" else ranked.scores
        for rank, (position, score) in enumerate(zip(ranked.ranking, given, strict=True)):
            scores[position].append(score)
            if last:
                ranks[position].append(rank / last)
                wins[position] += last - rank
    borda = tuple(_mean(values, 0.5) for values in ranks)
    graded = tuple(_mean(values, 0.0) for values in scores)
    if by == "score":
        order = sorted(range(count), key=lambda p: (-graded[p], borda[p], -wins[p], p))
    else:
        order = sorted(range(count), key=lambda p: (borda[p], -wins[p], -graded[p], p))
    return Merged(tuple(order), borda, graded)


def levelled(scores: Sequence[float]) -> tuple[float, ...]:
    """The nearest scores (least squares) that do not rise along the ranking: neighbours that contradict it are pooled.

    By pooling adjacent violators (Ayer et al. 1955).
    """
    pools: list[tuple[float, int]] = []
    for score in scores:
        total, length = score, 1
        while pools and pools[-1][0] * length < total * pools[-1][1]:
            above, more = pools.pop()
            total, length = total + above, length + more
        pools.append((total, length))
    return tuple(total / length for total, length in pools for _ in range(length))


def mismatch(sets: Sequence[RankedSet], positive: int, count: int) -> float:
    """How far from first the true item was put: mean over its sets of (rank - 1) / (k - 1), in [0, 1].

    For point-wise judgements, where a set has no ranks, its place in the merged order.
    """
    places = [
        s.ranking.index(positive) / (len(s.ranking) - 1) for s in sets if positive in s.ranking and len(s.ranking) > 1
    ]
    return _mean(places, merge(sets, count).place(positive)) if places else merge(sets, count).place(positive)


def logistic_mismatch(merged: Merged, positive: int) -> float:
    """Mean over the other candidates of log(1 + exp(s_other - s_positive)): the pair-wise form, for reports."""
    others = [s for position, s in enumerate(merged.scores) if position != positive]
    return _mean([math.log1p(math.exp(s - merged.scores[positive])) for s in others], math.log(2))


def wrongly_above(sets: Sequence[RankedSet], positive: int, count: int) -> list[int]:
    """Positions ranked above the true item in any set that holds it (point-wise: in the merged order), ascending."""
    rankings = [s.ranking for s in sets if positive in s.ranking and len(s.ranking) > 1]
    if not rankings:
        rankings = [merge(sets, count).order]
    return sorted({p for ranking in rankings for p in ranking[: ranking.index(positive)]})


def misjudged(sets: Sequence[RankedSet], positive: int, count: int) -> list[RankedSet]:
    """The sets that put another item before the true one.

    Point-wise judgements have no ranks: the merged order is taken as their one set, with the true item's reasons.
    """
    held = [s for s in sets if positive in s.ranking]
    if any(len(s.ranking) > 1 for s in held):
        return [s for s in held if len(s.ranking) > 1 and s.ranking[0] != positive]
    merged = merge(sets, count)
    reasons = " ".join(s.reason for s in held)
    return [RankedSet(merged.order, tuple(merged.scores[p] for p in merged.order), reasons)]


def order_of(
    handles: Mapping[str, int], ranking: Sequence[tuple[str, float]], reason: str, cited: Sequence[int] = ()
) -> RankedSet:
    """A reply's (handle, score) pairs, best first, as a ranked set of positions."""
    ranked, scores = tuple(handles[h] for h, _ in ranking), tuple(score for _, score in ranking)
    return RankedSet(ranked, scores, reason, tuple(handles.values()), tuple(cited))


def _mean(values: Sequence[float], empty: float) -> float:
    # Rounded, because thirds and fifths do not add up alike in every order: equal means must be ties.
    return round(math.fsum(values) / len(values), 12) if values else empty


# --- one call a set ---------------------------------------------------------------------------------------------------


async def judge(
    setup: AgentSetup[Any],
    tools: Tools,
    claims: Sequence[str],
    notes: Sequence[str],
    texts: Sequence[str],
    sets: Sequence[tuple[int, ...]],
) -> list[RankedSet]:
    """The rankings of `sets` by the person whom `claims` describe; one call a set, concurrently.

    texts: (n_candidates,) as shown; sets hold positions in it.
    """
    profile = dict(zip(claim_handles(len(claims)), claims, strict=True))
    places = {handle: place for place, handle in enumerate(profile)}
    cites = setup.config.evidence

    async def one(positions: tuple[int, ...]) -> RankedSet:
        names = handles_for(len(positions))
        options = {h: texts[p] for h, p in zip(names, positions, strict=True)}
        reply: Any = await call_prompt(
            tools,
            setup,
            "setwise/assess",
            assessment_reply(names, tuple(profile)) if cites else ranking_reply(names),
            "assess",
            {"claims": profile, "notes": notes, "options": options, "evidence": cites},
            agent=NAME,
        )
        ranked = [(entry.item, entry.score) for entry in reply.ranking]
        cited = sorted({places[handle] for handle in getattr(reply, "claims", ()) if handle in places})
        return order_of(dict(zip(names, positions, strict=True)), ranked, reply.reason, cited)

    return await gather_all(one(positions) for positions in sets)


@lru_cache(maxsize=4096)
def assessment_reply(names: tuple[str, ...], claims: tuple[str, ...]) -> type[BaseModel]:
    """A ranking of the items `names` with its reason and the `claims` that decided it; a plain one without claims."""
    if not claims:
        return ranking_reply(names)
    plain = ranking_reply(names).model_fields
    one_of: Any = Annotated[str, WithJsonSchema({"type": "string", "enum": list(claims)})]
    fields: dict[str, Any] = {
        "reason": (plain["reason"].annotation, plain["reason"]),
        "claims": (list[one_of], Field(description="Handles of the claims that decided.")),
        "ranking": (plain["ranking"].annotation, plain["ranking"]),
    }
    return create_model("Assessment", __config__=ConfigDict(extra="forbid", frozen=True), **fields)


def claim_handles(count: int) -> tuple[str, ...]:
    """P1, P2, ...: how the claims of a profile are named in prompts, strongest first."""
    return tuple(f"P{number}" for number in range(1, count + 1))


def item_text(item: int, facts: Mapping[int, str], semantics: Mapping[int, str]) -> str:
    """An item as shown: its facts, and its semantics where they have been rewritten."""
    return f"{facts[item]} | {semantics[item]}" if item in semantics else facts[item]


# --- the acceptance test ----------------------------------------------------------------------------------------------


def set_mismatch(sets: Sequence[RankedSet], positive: int) -> float:
    """The mismatch over sets that all hold the true item; sets of one item have no ranks: one less the score."""
    if all(len(one.ranking) > 1 for one in sets):
        return mismatch(sets, positive, 1 + max(p for one in sets for p in one.ranking))
    return 1 - sum(score for one in sets for score in one.scores) / len(sets)


def decision(before: Sequence[float], after: Sequence[float], wins: int, lists: int) -> bool | None:
    """Whether a rewrite is accepted by the held-back lists judged so far; None: judge another list.

    before, after: mismatches of the lists with the accepted wording and with the rewrite. The rewrite is accepted when
    it has lowered the mismatch of `wins` lists before it raised that of one; ties decide nothing. It is rejected at its
    first loss, or when `lists` lists leave it short of `wins`.

    A rewrite without effect wins and loses a list with equal probability, so it is accepted with at most 0.5 ** wins.
    """
    won = sum(new < old - 1e-9 for old, new in zip(before, after, strict=True))
    if any(new > old + 1e-9 for old, new in zip(before, after, strict=True)):
        return False
    if won >= wins:
        return True
    return None if won + lists - len(after) >= wins else False


def distinct_sets(pool: Sequence[int], size: int, count: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """At most `count` different sets of `size` items of `pool`: disjoint ones first, then such as share items.

    Equal sets would be judged by equal prompts, and count one outcome several times.
    """
    sets: dict[frozenset[int], tuple[int, ...]] = {}
    for _ in range(4 * count):
        items = [int(item) for item in rng.permutation(pool)]
        for start in range(0, len(items) - size + 1, size):
            if len(sets) < count:
                sets.setdefault(frozenset(items[start : start + size]), tuple(items[start : start + size]))
        if len(sets) == count:
            break
    return list(sets.values())


def noop_acceptance(ties: float, wins: int, lists: int) -> float:
    """Probability that `decision` accepts a rewrite without effect, where a share `ties` of lists is tied.

    The sum over j ties before the last win: C(wins - 1 + j, j) ties^j ((1 - ties) / 2)^wins, j = 0 .. lists - wins.
    """
    win = (1 - ties) / 2
    return float(sum(math.comb(wins - 1 + j, j) * ties**j * win**wins for j in range(max(0, lists - wins) + 1)))
