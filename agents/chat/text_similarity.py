"""Similarity of texts by TF-IDF cosine: the rule of the `offline` provider."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache

_SIGN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"  # kana and Han, written without spaces: each sign is a word
WORD = re.compile(rf"[{_SIGN}]|[^\W_{_SIGN}]+")
STOP = frozenset(
    "a an and are as at be but by for from has have he her his i in is it its like likes more not of on or out over "
    "rather she so than that the their them then they this those to too was were what who whom will with you your "
    "chose lately passes drawn".split()
)

Terms = Mapping[str, float]


@lru_cache(maxsize=200_000)
def words(text: str) -> tuple[str, ...]:
    """Lower-case words without stop words; a plural s is dropped so that kites meet kite."""
    lowered = (w.lower() for w in WORD.findall(text))
    return tuple(
        w[:-1] if len(w) > 3 and w.endswith("s") and not w.endswith("ss") else w for w in lowered if w not in STOP
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

    def heaviest(self, text: str, count: int) -> list[str]:
        """The words of a text that tell most, the weightiest first."""
        weights = self.terms(text)
        return sorted(weights, key=lambda w: (-weights[w], w))[:count]


def cosine(a: Terms, b: Terms) -> float:
    """Cosine of two term vectors, 0 where either is empty."""
    dot = sum(weight * b[word] for word, weight in a.items() if word in b)
    norms = sum(w * w for w in a.values()) * sum(w * w for w in b.values())
    return dot / math.sqrt(norms) if norms else 0.0


def graded(likeness: float) -> float:
    """A likeness in [-1, 1] as a score in [0, 1]; half-way at .15, a usual likeness of a good match."""
    return max(0.0, likeness) / (max(0.0, likeness) + 0.15)
