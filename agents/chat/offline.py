"""`offline`: answers from the request's own facts by TF-IDF similarity. It is not a language model.

It needs no network, is deterministic, and serves three ends: the embedded default of a first run, the world of the
tests, and the baseline without understanding that any language model must beat. Wherever its numbers appear it is
called "offline (no LLM)".
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ...errors import ModelUnavailable
from .types import Chat, Reply, Request, Usage

MODEL = "offline-tfidf-1"
WORD = re.compile(r"[^\W_]+")
PIECE = re.compile(r"\w+|[^\w\s]")
STOP = frozenset(
    "a an and are as at be but by for from has have he her his i in is it its like likes more not of on or out over "
    "rather she so than that the their them then they this those to too was were what who whom will with you your "
    "chose lately passes drawn".split()
)
AGAINST = re.compile(r"(?:passes over|rather than|not for)([^.\n]*)", re.IGNORECASE)
"""What stands behind these words, up to the end of the sentence, speaks against an item."""
AVERSION = 0.1
"""How much a word that speaks against counts beside one that speaks for; our own choice."""

Terms = Mapping[str, float]


@lru_cache(maxsize=200_000)
def words(text: str) -> tuple[str, ...]:
    """Lower-case words without stop words; a plural s is dropped so that kites meet kite."""
    found = (w.lower() for w in WORD.findall(text))
    return tuple(
        w[:-1] if len(w) > 3 and w.endswith("s") and not w.endswith("ss") else w for w in found if w not in STOP
    )


class Rarity:
    """Inverse document frequency over a catalogue; without one, every word counts the same."""

    def __init__(self, catalogue: Sequence[str]) -> None:
        self._documents = len(catalogue)
        self._holding = Counter(word for text in catalogue for word in set(words(text)))

    def __call__(self, word: str) -> float:
        return math.log((1 + self._documents) / (1 + self._holding[word])) + 1

    def terms(self, text: str) -> dict[str, float]:
        """word -> sublinear tf x idf."""
        return {w: (1 + math.log(n)) * self(w) for w, n in Counter(words(text)).items()}


def cosine(a: Terms, b: Terms) -> float:
    """Cosine of two term vectors, 0 where either is empty."""
    dot = sum(weight * b[word] for word, weight in a.items() if word in b)
    norms = sum(w * w for w in a.values()) * sum(w * w for w in b.values())
    return dot / math.sqrt(norms) if norms else 0.0


# --- answers: one a kind of question ----------------------------------------------------------------------------------


def rank(rarity: Rarity, shown: Mapping[str, Any]) -> dict[str, Any]:
    """Options by similarity to the query and notes, less their similarity to what speaks against."""
    said = "\n".join([shown["query"], *shown["notes"]])
    wanted, unwanted = rarity.terms(AGAINST.sub(" ", said)), rarity.terms(" ".join(AGAINST.findall(said)))
    scored = []
    for place, (handle, text) in enumerate(shown["options"].items()):
        option = rarity.terms(text)
        likeness = cosine(wanted, option) - AVERSION * cosine(unwanted, option)
        scored.append((likeness, -place, handle, option))
    scored.sort(reverse=True)
    best = scored[0][3]
    shared = sorted((w for w in best if w in wanted), key=lambda w: (-best[w] * wanted[w], w))[:3]
    reason = f"{scored[0][2]} shares {', '.join(shared)} with the profile" if shared else "nothing shown is shared"
    return {
        "reason": reason,
        "ranking": [{"item": handle, "score": round(_graded(likeness), 4)} for likeness, _, handle, _ in scored],
    }


def describe(rarity: Rarity, shown: Mapping[str, Any]) -> dict[str, Any]:
    """A profile: the weightiest words of each item of the history, oldest first, and again those of the last two."""
    return {"profile": _profile([_phrase(rarity, text) for text in shown["liked"]], [], shown["words"])}


def revise_profile(rarity: Rarity, shown: Mapping[str, Any]) -> dict[str, Any]:
    """The chosen item joins the profile as its newest; what the wrongly preferred have and it lacks is passed over."""
    likes, passes = _read(shown["profile"])
    chosen = _phrase(rarity, shown["chosen"])
    liked = {word for phrase in (*likes, chosen) for word in words(phrase)}
    rejected = [w for text in shown["rejected"] for w in _heaviest(rarity, text, 4)]
    against = [w for w in dict.fromkeys([*rejected, *passes]) if w not in liked]
    lesson = f"Look for {chosen}" + (f", not for {' '.join(against[:5])}." if against else ".")
    return {"lesson": lesson, "profile": _profile([*likes, chosen], against, shown["words"])}


def revise_items(rarity: Rarity, shown: Mapping[str, Any]) -> dict[str, Any]:
    """The chosen item is said to suit what the profile likes; the others are told by their own words."""
    likes, _ = _read(shown["profile"])
    texts = {}
    for handle, item in shown["items"].items():
        own = _heaviest(rarity, item["facts"], 8)
        if handle == shown["chosen"]:
            newest = [w for phrase in reversed(likes) for w in words(phrase)]
            suits = [w for w in dict.fromkeys(newest) if w not in own][:8]
            texts[handle] = f"Known by {', '.join(own)}; suits a taste for {', '.join(suits)}."
        else:
            texts[handle] = f"Known by {', '.join(own)}."
    return texts


def rate(rarity: Rarity, shown: Mapping[str, Any]) -> dict[str, Any]:
    """Each option's rating: the mean of the ratings given, those of like items counting more; to the nearest step."""
    given = [(rarity.terms(text), rating) for text, rating in shown["rated"]]
    step = shown["step"]
    ratings = []
    for handle, text in shown["options"].items():
        option = rarity.terms(text)
        weights = [(0.02 + cosine(terms, option), rating) for terms, rating in given]
        mean = sum(w * r for w, r in weights) / sum(w for w, _ in weights) if weights else shown["high"]
        ratings.append({"item": handle, "rating": min(shown["high"], max(shown["low"], round(mean / step) * step))})
    return {"reason": "as like items were rated", "ratings": ratings}


def recite(rarity: Rarity, shown: Mapping[str, Any]) -> dict[str, Any]:
    """Nothing: there is nothing that this provider could have read before."""
    return {"title": ""}


ANSWERS: dict[str, Callable[[Rarity, Mapping[str, Any]], dict[str, Any]]] = {
    "rank": rank,
    "describe": describe,
    "revise_profile": revise_profile,
    "revise_items": revise_items,
    "rate": rate,
    "recite": recite,
}


def offline_version(catalogue: Sequence[str] = ()) -> str:
    """What tells answers apart: the rules' version and the catalogue that weighs their words."""
    return f"{MODEL}-{hashlib.sha256(chr(0).join(catalogue).encode()).hexdigest()[:8]}"


def offline_chat(catalogue: Sequence[str] = ()) -> Chat:
    """A Chat that reads `request.facts`; rare words of `catalogue` (item texts) weigh more.

    Tokens are counted as words and punctuation marks of the prompt, not by any model's tokenizer.
    Raises ModelUnavailable for a question it has no answer to.
    """
    rarity, version = Rarity(catalogue), offline_version(catalogue)

    async def chat(request: Request) -> Reply:
        if request.facts is None or request.facts.kind not in ANSWERS:
            asked = "a question without facts" if request.facts is None else f"the question {request.facts.kind!r}"
            raise ModelUnavailable(f"provider offline cannot answer {asked}; it answers: {', '.join(ANSWERS)}")
        text = json.dumps(ANSWERS[request.facts.kind](rarity, request.facts.shown), ensure_ascii=False)
        asked_tokens = sum(_pieces(message.content) for message in request.messages)
        return Reply(text, version, usage=Usage(asked_tokens, _pieces(text)), cost=0.0)

    return chat


# --- the profile's own form -------------------------------------------------------------------------------------------


def _profile(likes: Sequence[str], passes: Sequence[str], cap: int) -> str:
    """At most `cap` words: a phrase an item, the newest last and said again, then what is passed over.

    Where the cap is short of room the oldest items are forgotten first.
    """
    lately, passes = likes[-2:], passes[: cap // 10]
    room = cap - 4 - len(passes) - sum(len(phrase.split()) for phrase in lately)
    kept: list[str] = []
    for phrase in reversed(likes):
        room -= len(phrase.split())
        if room < 0:
            break
        kept.insert(0, phrase)
    parts = [f"Likes {'; '.join(kept)}.", f"Lately {'; '.join(lately)}."]
    if passes:
        parts.append(f"Passes over {' '.join(passes)}.")
    return " ".join(parts)


def _read(profile: str) -> tuple[list[str], list[str]]:
    """The phrases liked and the words passed over; a text in another form is liked as a whole."""
    likes: list[str] = []
    passes: list[str] = []
    for sentence in profile.split(". "):
        sentence = sentence.rstrip(".")
        if sentence.startswith("Passes over "):
            passes += words(sentence.removeprefix("Passes over "))
        elif not sentence.startswith("Lately "):
            likes += sentence.removeprefix("Likes ").split("; ")
    return [phrase for phrase in likes if phrase], passes


def _phrase(rarity: Rarity, text: str) -> str:
    return " ".join(_heaviest(rarity, text, 8))


def _heaviest(rarity: Rarity, text: str, count: int) -> list[str]:
    return _ordered(rarity.terms(text))[:count]


def _ordered(weights: Mapping[str, float]) -> list[str]:
    return sorted(weights, key=lambda w: (-weights[w], w))


def _graded(likeness: float) -> float:
    """A likeness in [-1, 1] as a score in [0, 1]; half-way at .15, a usual likeness of a good match."""
    return max(0.0, likeness) / (max(0.0, likeness) + 0.15)


def _pieces(text: str) -> int:
    return len(PIECE.findall(text))
