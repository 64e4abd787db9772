"""`offline`: answers from the request's own facts by TF-IDF similarity. It is not a language model.

It needs no network, is deterministic, and serves three ends: the embedded default of a first run, the world of the
tests, and the baseline without understanding that any language model must beat. Wherever its numbers appear it is
called "offline (no LLM)".
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...errors import ModelUnavailable
from .offline_denoise import fit, interests, review, revise_interests, substitute
from .offline_setwise import assess, describe, ranked, revise_items, revise_profile
from .text_similarity import Rarity, cosine, graded
from .types import Chat, Reply, Request, Usage

MODEL = "offline-tfidf-3"
PIECE = re.compile(r"\w+|[^\w\s]")

# --- answers: one a kind of task --------------------------------------------------------------------------------------


def rank(rarity: Rarity, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Options by similarity to the query and notes, less their similarity to what speaks against."""
    return ranked(rarity, [facts["query"]], facts["notes"], facts["options"])


def rate(rarity: Rarity, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Each option's rating: the mean of the ratings given, those of like items counting more; to the nearest step."""
    given = [(rarity.terms(text), rating) for text, rating in facts["rated"]]
    step = facts["step"]
    ratings = []
    for handle, text in facts["options"].items():
        option = rarity.terms(text)
        weights = [(0.02 + cosine(terms, option), rating) for terms, rating in given]
        mean = sum(w * r for w, r in weights) / sum(w for w, _ in weights) if weights else facts["high"]
        ratings.append({"item": handle, "rating": min(facts["high"], max(facts["low"], round(mean / step) * step))})
    return {"reason": "as like items were rated", "ratings": ratings}


def recite(rarity: Rarity, facts: Mapping[str, Any]) -> dict[str, Any]:
    """An empty title: this provider has no memory of training data."""
    return {"title": ""}


def pick(rarity: Rarity, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The options most like the history, those only that share a word with it."""
    liked = _liked(rarity, facts["history"])
    scored = [(graded(cosine(liked, rarity.terms(text))), h) for h, text in facts["options"].items()]
    best = sorted(scored, key=lambda pair: -pair[0])[: facts["most"]]
    picks = [{"item": handle, "score": round(score, 4)} for score, handle in best if score]
    return {"reason": "they share words with what was taken", "picks": picks}


def name(rarity: Rarity, facts: Mapping[str, Any]) -> dict[str, Any]:
    """No titles: this provider knows only what is in the request."""
    return {"reason": "no title is known that was not shown", "titles": []}


def extremes(rarity: Rarity, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The options most and least like the history; of equals the first, and the last."""
    liked = _liked(rarity, facts["history"])
    scored = [(cosine(liked, rarity.terms(text)), -at, h) for at, (h, text) in enumerate(facts["options"].items())]
    return {"reason": "words shared with what was taken", "favourite": max(scored)[2], "least": min(scored)[2]}


def judge(rarity: Rarity, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Yes to each option that is like the history, no to the others."""
    liked = _liked(rarity, facts["history"])
    return _judgements({h: cosine(liked, rarity.terms(text)) for h, text in facts["options"].items()})


def would_take(rarity: Rarity, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Yes for each person whose history is like the item, no for the others."""
    item = rarity.terms(facts["item"])
    return _judgements({h: cosine(_liked(rarity, history), item) for h, history in facts["people"].items()})


ANSWERS: dict[str, Callable[[Rarity, Mapping[str, Any]], dict[str, Any]]] = {
    "rank": rank,
    "assess": assess,
    "describe": describe,
    "revise_profile": revise_profile,
    "revise_items": revise_items,
    "rate": rate,
    "recite": recite,
    "pick": pick,
    "name": name,
    "extremes": extremes,
    "judge": judge,
    "would_take": would_take,
    "review": review,
    "substitute": substitute,
    "interests": interests,
    "fit": fit,
    "revise_interests": revise_interests,
}


def offline_version(catalogue: Sequence[str] = ()) -> str:
    """The model name: the rules' version and a digest of the catalogue that weighs words."""
    return f"{MODEL}-{hashlib.sha256(chr(0).join(catalogue).encode()).hexdigest()[:8]}"


def offline_chat(catalogue: Sequence[str] = ()) -> Chat:
    """A Chat that reads `request.facts`; rare words of `catalogue` (item texts) weigh more.

    Tokens are counted as words and punctuation marks of the prompt, not by any model's tokenizer.
    Raises ModelUnavailable for a kind of task it has no rule for.
    """
    rarity, version = Rarity(catalogue), offline_version(catalogue)

    async def chat(request: Request) -> Reply:
        if request.facts is None or request.facts.kind not in ANSWERS:
            task = "a question without facts" if request.facts is None else f"the question {request.facts.kind!r}"
            raise ModelUnavailable(f"provider offline cannot answer {task}; it answers: {', '.join(ANSWERS)}")
        text = json.dumps(ANSWERS[request.facts.kind](rarity, request.facts.values), ensure_ascii=False)
        prompt_tokens = sum(_pieces(message.content) for message in request.messages)
        return Reply(text, version, usage=Usage(prompt_tokens, _pieces(text)), cost=0.0)

    return chat


def _liked(rarity: Rarity, history: Sequence[str]) -> dict[str, float]:
    return rarity.terms("\n".join(history))


def _judgements(likeness: Mapping[str, float]) -> dict[str, Any]:
    """Answers by likeness: its grade is the probability of a yes."""
    judgements = []
    for handle, like in likeness.items():
        sure = round(graded(like), 4)
        judgements.append(
            {"item": handle, "answer": "yes" if sure >= 0.5 else "no", "confidence": max(sure, round(1 - sure, 4))}
        )
    return {"reason": "words shared with what was taken", "judgements": judgements}


def _pieces(text: str) -> int:
    return len(PIECE.findall(text))
