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
from collections import Counter, defaultdict
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
AVERSION = 0.4
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
    """A profile: the weightiest words of the history, later items counting more, and those of the last two again."""
    weight: defaultdict[str, float] = defaultdict(float)
    for age, text in enumerate(reversed(shown["liked"])):
        for word, value in rarity.terms(text).items():
            weight[word] += value * 0.9**age
    lately = [w for text in reversed(shown["liked"][-2:]) for w in _heaviest(rarity, text, 8)]
    return {"profile": _profile(_ordered(weight), lately, [], shown["words"])}


def revise_profile(rarity: Rarity, shown: Mapping[str, Any]) -> dict[str, Any]:
    """The chosen item's words come to the front, those of the wrongly preferred that it lacks go to the far side."""
    likes, lately, passes = _read(shown["profile"])
    chosen = _heaviest(rarity, shown["chosen"], 12)
    rejected = [w for text in shown["rejected"] for w in _heaviest(rarity, text, 4)]
    against = [w for w in dict.fromkeys(rejected) if w not in chosen and w not in likes[:30]]
    profile = _profile(
        [*dict.fromkeys([*lately, *likes])],
        [*dict.fromkeys([*chosen, *lately])],
        [w for w in dict.fromkeys([*against, *passes]) if w not in chosen],
        shown["words"],
    )
    return {"lesson": f"Look for {' '.join(chosen[:5])}, not for {' '.join(against[:5])}.", "profile": profile}


def revise_items(rarity: Rarity, shown: Mapping[str, Any]) -> dict[str, Any]:
    """The chosen item is said to suit what the profile likes; the others are told by their own words."""
    likes, lately, _ = _read(shown["profile"])
    texts = {}
    for handle, item in shown["items"].items():
        own = _heaviest(rarity, item["facts"], 8)
        if handle == shown["chosen"]:
            suits = [w for w in dict.fromkeys([*lately[:6], *likes[:10]]) if w not in own][:8]
            texts[handle] = f"Known by {', '.join(own)}; suits a taste for {', '.join(suits)}."
        else:
            texts[handle] = f"Known by {', '.join(own)}."
    return texts


ANSWERS: dict[str, Callable[[Rarity, Mapping[str, Any]], dict[str, Any]]] = {
    "rank": rank,
    "describe": describe,
    "revise_profile": revise_profile,
    "revise_items": revise_items,
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


def _profile(likes: Sequence[str], lately: Sequence[str], passes: Sequence[str], cap: int) -> str:
    """At most `cap` words in three sentences, which hold half, a quarter and a sixth of them."""
    parts = [f"Likes {', '.join(likes[: cap // 2])}."]
    if lately:
        parts.append(f"Lately {', '.join(lately[: cap // 4])}.")
    if passes:
        parts.append(f"Passes over {', '.join(passes[: cap // 6])}.")
    return " ".join(parts)


def _read(profile: str) -> tuple[list[str], list[str], list[str]]:
    """The three lists of a profile; of a text in another form, all words as likes."""
    sentences = profile.split(". ")
    found = {"Likes": [""], "Lately": [""], "Passes over": [""]}
    for sentence in sentences:
        for opening, texts in found.items():
            if sentence.startswith(opening):
                texts[0] = sentence.removeprefix(opening)
                break
        else:
            found["Likes"][0] += " " + sentence
    likes, lately, passes = (list(dict.fromkeys(words(texts[0]))) for texts in found.values())
    return likes, lately, passes


def _heaviest(rarity: Rarity, text: str, count: int) -> list[str]:
    return _ordered(rarity.terms(text))[:count]


def _ordered(weights: Mapping[str, float]) -> list[str]:
    return sorted(weights, key=lambda w: (-weights[w], w))


def _graded(likeness: float) -> float:
    """A likeness in [-1, 1] as a score in [0, 1]; half-way at .15, a usual likeness of a good match."""
    return max(0.0, likeness) / (max(0.0, likeness) + 0.15)


def _pieces(text: str) -> int:
    return len(PIECE.findall(text))
