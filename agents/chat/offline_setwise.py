"""`offline`'s answers for the set-wise agent: an assessment, claims with evidence, a rewriting of both texts.

Each rule reads the facts of the prompt and compares words by TF-IDF. Its claims are of two forms, "Likes ..." with
the weightiest words of one item, and "Passes over ..." with those of items wrongly preferred.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .text_similarity import Rarity, cosine, graded, words

AGAINST = re.compile(r"(?:passes over|rather than|not for)([^.\n]*)", re.IGNORECASE)
"""What stands behind these words, up to the end of the sentence, speaks against an item."""
AVERSION = 0.1
"""How much a word that speaks against counts beside one that speaks for; our own choice."""
SUREST = 2
"""Claims at the head of a profile whose words count twice."""
ALIKE = 0.25
"""Likeness from which an item is evidence for a claim; our own choice."""
PHRASE = 8
"""Words of an item that a claim holds."""


def ranked(
    rarity: Rarity, query: Sequence[str], notes: Sequence[str], options: Mapping[str, str], twice: int = 0
) -> dict[str, Any]:
    """Options by similarity to the query and notes, less their similarity to what speaks against.

    The words of the first `twice` texts of the query count twice.
    """
    query_text = "\n".join([*query, *query[:twice], *notes])
    wanted, unwanted = rarity.terms(AGAINST.sub(" ", query_text)), rarity.terms(" ".join(AGAINST.findall(query_text)))
    scored = []
    for place, (handle, text) in enumerate(options.items()):
        option = rarity.terms(text)
        likeness = cosine(wanted, option) - AVERSION * cosine(unwanted, option)
        scored.append((likeness, -place, handle, option))
    scored.sort(reverse=True)
    best = scored[0][3]
    shared = sorted((w for w in best if w in wanted), key=lambda w: (-best[w] * wanted[w], w))[:3]
    reason = f"{scored[0][2]} shares {', '.join(shared)} with the profile" if shared else "nothing shown is shared"
    return {
        "reason": reason,
        "ranking": [{"item": handle, "score": round(graded(likeness), 4)} for likeness, _, handle, _ in scored],
    }


def assess(rarity: Rarity, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Options by likeness to the claims and notes; the claims most like the best option are those that decided."""
    claims: Mapping[str, str] = facts["claims"]
    reply = ranked(rarity, list(claims.values()), facts["notes"], facts["options"], SUREST)
    if not (facts["evidence"] and claims):
        return reply
    best = rarity.terms(facts["options"][reply["ranking"][0]["item"]])
    like = {handle: cosine(rarity.terms(AGAINST.sub(" ", text)), best) for handle, text in claims.items()}
    decided = sorted((h for h in like if like[h]), key=lambda h: -like[h])[:3]
    return {"reason": reply["reason"], "claims": decided, "ranking": reply["ranking"]}


def describe(rarity: Rarity, facts: Mapping[str, Any]) -> dict[str, Any]:
    """A claim an item, its weightiest words; it rests on every choice that is like it. The newest come first."""
    claims = []
    for own, text in reversed(facts["liked"].items()):
        phrase = " ".join(rarity.heaviest(text, PHRASE))
        if not phrase:
            continue
        terms = rarity.terms(phrase)
        like = [h for h, other in facts["liked"].items() if h == own or cosine(terms, rarity.terms(other)) >= ALIKE]
        claims.append(_claim(f"Likes {phrase}.", like, facts["evidence"]))
    return {"claims": _within(claims, facts["words"])}


def revise_profile(rarity: Rarity, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The chosen item makes a claim, and is evidence for those like it; what the wrongly preferred have and it lacks is
    passed over. Earlier claims are kept by citing them, as far as there is room."""
    chosen, options = facts["chosen"], facts["options"]
    phrase = " ".join(rarity.heaviest(options[chosen], PHRASE))
    terms = rarity.terms(options[chosen])
    claims_so_far = {h: text for h, text in facts["claims"].items() if text.strip()}
    likes = {h: text for h, text in claims_so_far.items() if not AGAINST.search(text)}
    against = {h: text for h, text in claims_so_far.items() if h not in likes}
    liked = {word for text in (*likes.values(), phrase) for word in words(text)}
    new_words = [w for h in facts["rejected"] for w in rarity.heaviest(options[h], 4)]
    earlier = [w for text in against.values() for w in words(text)]
    passed = [w for w in dict.fromkeys([*new_words, *earlier]) if w not in liked][: max(1, facts["words"] // 10)]
    claims = [_claim(f"Likes {phrase}.", [chosen], facts["evidence"])] if phrase else []
    if passed:
        claims.append(
            _claim(f"Passes over {' '.join(passed)}.", [*facts["rejected"], *against] or [chosen], facts["evidence"])
        )
    for handle, text in likes.items():
        named = [handle, chosen] if cosine(rarity.terms(text), terms) >= ALIKE else [handle]
        claims.append(_claim(text, named, facts["evidence"]))
    lesson = f"Look for {phrase or 'what was chosen'}" + (f", not for {' '.join(passed[:5])}." if passed else ".")
    return {"lesson": lesson, "claims": _within(claims, facts["words"])}


def revise_items(rarity: Rarity, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The chosen item is said to suit what the profile likes; the others are told by their own words."""
    likes = [text for text in facts["claims"].values() if not AGAINST.search(text)]
    texts = {}
    for handle, item in facts["items"].items():
        own = rarity.heaviest(item["facts"], PHRASE)
        if handle == facts["chosen"]:
            surest = [w for text in likes for w in words(text)]
            suits = [w for w in dict.fromkeys(surest) if w not in own][:PHRASE]
            texts[handle] = f"Known by {', '.join(own)}; suits a taste for {', '.join(suits)}."
        else:
            texts[handle] = f"Known by {', '.join(own)}."
    return texts


def _claim(text: str, named: Sequence[str], evidence: bool) -> dict[str, Any]:
    return {"text": text, "evidence": list(named)} if evidence else {"text": text}


def _within(claims: Sequence[dict[str, Any]], cap: int) -> list[dict[str, Any]]:
    """The first claims that have room in `cap` words; the very first is cut to it."""
    fitting: list[dict[str, Any]] = []
    for claim in claims:
        length = len(claim["text"].split())
        if not fitting and length > cap:
            fitting.append({**claim, "text": " ".join(claim["text"].split()[:cap])})
            cap = 0
        elif length <= cap:
            fitting.append(claim)
            cap -= length
    return fitting
