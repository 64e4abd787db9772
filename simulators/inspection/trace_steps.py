"""How `runs trace` tells one step of a walk: the list, each round's sets, reasons, claims, rewrites and verdict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import fill
from typing import Any

from ...agents.chat.handles import handles_for
from ...agents.setwise.state import mismatch_rose, outcome_of

WIDTH = 118


def step_lines(number: int, step: Mapping[str, Any], texts: Mapping[int, str]) -> Iterator[str]:
    """One step's lines, from its list to its last round."""
    items = [texts[item] for item in step["candidates"]]
    yield f"STEP {number}. The person took: {short(items[step['positive']])}"
    yield f"  It was put among {len(items) - 1} others:"
    for place, text in enumerate(items):
        mark = "*" if place == step["positive"] else " "
        yield f"   {mark} [{place + 1}] {short(text)}"
    for one in step["forgotten"]:
        since = f"nothing since {when(one['latest'])} bore it out"
        yield wrapped(f"forgotten, strength {one['strength']:.2f}, {since}: {one['text']}", "    ", "        ")
    for note in step["notes"]:
        yield wrapped(f"remembered: {note}", "    ", "        ")
    held = list(step["claims"])
    best: float | None = None
    for place, round_ in enumerate(step["rounds"]):
        yield ""
        if place:
            yield from _reflection(place, round_, step, texts)
        else:
            yield f"  ROUND 0. Judged by the profile as it stood, {len(held)} claims; best first, score behind:"
        judged_by = [one["text"] for one in round_.get("claims") or ()] or held
        yield from _rankings(round_, step, judged_by)
        if place:
            yield _verdict(round_, best)
        for credited in round_.get("credited", ()):
            yield wrapped(f"borne out, and {when(number - 1)} is evidence now: {held[credited]}", "    ", "        ")
        if round_["kept"]:
            best, held = round_["mismatch"], judged_by


def claims_lines(claims: Sequence[Mapping[str, Any]], texts: Mapping[int, str]) -> Iterator[str]:
    """Each claim by its handle, and what it rests on."""
    if not claims:
        yield "    (none)"
    for number, claim in enumerate(claims, 1):
        yield wrapped(f"P{number} {claim['text']}", "    ", "       ")
        rests = [
            f"{when(at)} {'took' if took else 'passed over'} {short(texts[item].split(' | ')[0], 32)}"
            for item, at, took in claim["evidence"]
        ]
        more = f" and {len(rests) - 4} more" if len(rests) > 4 else ""
        known = f"rests on {'; '.join(rests[-4:])}{more}" if rests else "no evidence was asked for"
        yield wrapped(f"importance {claim['importance']:.2f}; {known}", "       ", "       ")


def dropped_lines(dropped: Sequence[Mapping[str, Any]], crowded: Sequence[str]) -> Iterator[str]:
    """Claims that were written and are not in the profile, each with its reason."""
    for one in dropped:
        why = f"cites {', '.join(one['named'])}, never shown" if one["why"] == "unshown" else "cites no evidence"
        yield wrapped(f"DROPPED ({why}): {one['text']}", "    ", "        ")
    for text in crowded:
        yield wrapped(f"no room for: {text}", "    ", "        ")


def short(text: str, width: int = 92) -> str:
    return text if len(text) <= width else f"{text[: width - 3].rstrip()}..."


def wrapped(text: str, indent: str, hanging: str | None = None) -> str:
    return fill(" ".join(text.split()), WIDTH, initial_indent=indent, subsequent_indent=hanging or indent)


def when(at: int) -> str:
    """A time on the person's clock: steps count from 1, what lies before them backwards."""
    return f"step {at + 1}" if at >= 0 else f"{-at} before"


def _reflection(
    number: int, round_: Mapping[str, Any], step: Mapping[str, Any], texts: Mapping[int, str]
) -> Iterator[str]:
    yield f"  ROUND {number}. The choice was not put first, so the model is told the truth and reflects:"
    if round_["lesson"]:
        yield wrapped(f"lesson: {round_['lesson']}", "    ", "        ")
    if round_["claims"] is None:
        yield "    profile as it was"
    else:
        yield "    profile rewritten:"
        yield from claims_lines(round_["claims"], texts)
    yield from dropped_lines(round_["dropped"], round_["crowded"])
    for item, text in round_["semantics"].items():
        place = step["candidates"].index(int(item)) + 1
        swung = " for good, for it swung" if int(item) in round_["settled"] else ""
        yield wrapped(f"[{place}] described anew{swung}: {text}", "    ", "        ")
    yield "    Judged again with what was rewritten:"


def _rankings(round_: Mapping[str, Any], step: Mapping[str, Any], claims: Sequence[str]) -> Iterator[str]:
    for place, ranked_set in enumerate(round_["sets"], 1):
        letters = dict(zip(ranked_set["shown"], handles_for(len(ranked_set["shown"])), strict=True))
        ranked = [
            f"{letters[p]}[{p + 1}]{'*' if p == step['positive'] else ''} {score:.2f}"
            for p, score in zip(ranked_set["ranking"], ranked_set["scores"], strict=True)
        ]
        yield f"    set {place}: " + " > ".join(ranked)
        yield wrapped(f"because {ranked_set['reason']}", "        ", "        ")
        for claim in ranked_set["claims"]:
            yield wrapped(f"by P{claim + 1} {claims[claim]}", "        ", "           ")
    order = " > ".join(f"[{p + 1}]{'*' if p == step['positive'] else ''}" for p in round_["order"])
    yield f"    all sets together: {order}"
    rank = round_["order"].index(step["positive"]) + 1
    yield f"    mismatch {round_['mismatch']:.3f}; the item chosen stands at place {rank} of {len(round_['order'])}"


_REJECTED = {
    "rolled_back": "the mismatch rose",
    "rolled_back_by_test": "held-back lists did not improve",
    "rolled_back_by_replay": "earlier lists fared worse",
}


def _verdict(round_: Mapping[str, Any], best: float | None) -> str:
    replayed = round_["replayed"]
    before = f" ({best:.3f} before)" if best is not None else ""
    tested = ""
    if replayed is not None:
        n = len(replayed["steps"])
        means = f"{sum(replayed['before']) / n:.3f} before, {sum(replayed['after']) / n:.3f} now"
        tested = f"; of {n} earlier list(s) in another order: {means}"
    held_back = round_.get("tested")
    if held_back is not None:
        pairs = ", ".join(f"{a:.2f} to {b:.2f}" for a, b in zip(held_back["before"], held_back["after"], strict=True))
        tested += f"; held-back lists: {pairs or 'none judged, nothing was changed'}"
    if not round_["kept"]:
        why = _REJECTED[outcome_of(round_)]
        return f"    => ROLLED BACK, {why}{before}{tested}"
    if (best is not None and round_["mismatch"] > best) or mismatch_rose(replayed):
        return f"    => KEPT without a test, the acceptance test is off{before}"
    return f"    => KEPT, the mismatch did not rise{before}{tested}"
