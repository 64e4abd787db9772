"""What `offline` answers the denoiser: doubt by how few words an item shares with the others, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .likeness import Rarity, cosine, graded

TELLING = 4
"""Words of an item that a description of interests holds."""


def review(rarity: Rarity, shown: Mapping[str, Any]) -> dict[str, Any]:
    """Each item's doubt: one minus the grade of its mean likeness to the others."""
    terms = {handle: rarity.terms(text) for handle, text in shown["options"].items()}
    doubts = []
    for handle, own in terms.items():
        likes = [cosine(own, other) for name, other in terms.items() if name != handle]
        mean = sum(likes) / len(likes) if likes else 1.0
        why = f"mean likeness of words to the others {mean:.2f}" if likes else "nothing stands beside it"
        doubts.append({"item": handle, "reason": why, "doubt": round(1 - graded(mean), 4) if likes else 0.0})
    return {"reason": "words shared with the others", "doubts": doubts}


def substitute(rarity: Rarity, shown: Mapping[str, Any]) -> dict[str, Any]:
    """The option most like what else was taken, none where no word is shared."""
    liked = rarity.terms("\n".join(shown["history"]))
    scored = [(cosine(liked, rarity.terms(text)), -at, h) for at, (h, text) in enumerate(shown["options"].items())]
    like, _, handle = max(scored)
    if not like:
        return {"reason": "no option shares a word", "item": None, "fit": 0.0}
    return {"reason": "it shares words with what was taken", "item": handle, "fit": round(graded(like), 4)}


def interests(rarity: Rarity, shown: Mapping[str, Any]) -> dict[str, Any]:
    """The weightiest words of each item, oldest first."""
    return {"interests": _described(rarity, shown["history"], shown["words"])}


def fit(rarity: Rarity, shown: Mapping[str, Any]) -> dict[str, Any]:
    """Ratings by likeness to the description: 1 where no word is shared, 10 at most."""
    wanted = rarity.terms(shown["profile"])
    fits = [
        {"item": handle, "rating": 1 + round(9 * graded(cosine(wanted, rarity.terms(text))))}
        for handle, text in shown["options"].items()
    ]
    return {"reason": "words shared with the interests", "fits": fits}


def revise_interests(rarity: Rarity, shown: Mapping[str, Any]) -> dict[str, Any]:
    """The description without the words of what is not theirs, and with those of what is."""
    unwanted = {word for text in shown["wrong"] for word in rarity.heaviest(text, TELLING)}
    kept = [word for word in shown["profile"].split() if word not in unwanted]
    added = _described(rarity, shown["right"], shown["words"]).split()
    return {"interests": " ".join(dict.fromkeys([*kept, *added][: shown["words"]])) or "nothing in particular"}


def _described(rarity: Rarity, history: Sequence[str], words: int) -> str:
    told = dict.fromkeys(word for text in history for word in rarity.heaviest(text, TELLING))
    return " ".join(list(told)[:words]) or "nothing in particular"
