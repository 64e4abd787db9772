"""`offline`'s answers for the denoiser: doubt is one minus the graded similarity of words to the other items.

An item without a word is not doubted, and says nothing about the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .text_similarity import Rarity, cosine, graded

TELLING = 4
"""Words of an item that a description of interests holds."""


def review(rarity: Rarity, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Each item's doubt: one minus the grade of its mean likeness to the others that have words."""
    terms = {handle: rarity.terms(text) for handle, text in facts["options"].items()}
    doubts = []
    for handle, own in terms.items():
        likes = [cosine(own, other) for name, other in terms.items() if name != handle and other] if own else []
        mean = sum(likes) / len(likes) if likes else 1.0
        why = f"mean likeness of words to the others {mean:.2f}" if likes else "no words to compare"
        doubts.append({"item": handle, "reason": why, "doubt": round(1 - graded(mean), 4) if likes else 0.0})
    return {"reason": "words shared with the others", "doubts": doubts}


def substitute(rarity: Rarity, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The option most like what else was taken, none where no word is shared."""
    liked = rarity.terms("\n".join(facts["history"]))
    scored = [(cosine(liked, rarity.terms(text)), -at, h) for at, (h, text) in enumerate(facts["options"].items())]
    like, _, handle = max(scored)
    if not like:
        return {"reason": "no option shares a word", "item": None, "fit": 0.0}
    return {"reason": "it shares words with what was taken", "item": handle, "fit": round(graded(like), 4)}


def interests(rarity: Rarity, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The weightiest words of each item, oldest first."""
    return {"interests": _described(rarity, facts["history"], facts["words"])}


def fit(rarity: Rarity, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Ratings by likeness to the description: 1 where no word is shared, 10 at most."""
    wanted = rarity.terms(facts["profile"])
    fits = [
        {"item": handle, "rating": 1 + round(9 * graded(cosine(wanted, rarity.terms(text))))}
        for handle, text in facts["options"].items()
    ]
    return {"reason": "words shared with the interests", "fits": fits}


def revise_interests(rarity: Rarity, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The description without the words of what is not theirs, and with those of what is."""
    unwanted = {word for text in facts["wrong"] for word in rarity.heaviest(text, TELLING)}
    remaining = [word for word in facts["profile"].split() if word not in unwanted]
    added = _described(rarity, facts["right"], facts["words"]).split()
    return {"interests": " ".join(dict.fromkeys([*remaining, *added][: facts["words"]])) or "nothing in particular"}


def _described(rarity: Rarity, history: Sequence[str], words: int) -> str:
    phrase = dict.fromkeys(word for text in history for word in rarity.heaviest(text, TELLING))
    return " ".join(list(phrase)[:words]) or "nothing in particular"
