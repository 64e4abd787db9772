"""Descriptions that swing: A, then B, then A again. They are found out, and the text nearest to all of them is kept.

Our own design. Two users of one mind, or two steps of one user, can each ask for the other text for ever.
"""

from __future__ import annotations

from collections.abc import Sequence

ALIKE = 0.8
"""Share of common words (Jaccard) from which two descriptions count as the same; our own value."""


def settle(versions: Sequence[str], text: str) -> str | None:
    """The text to keep for good where `text` goes back to a description given up before; None where it does not.

    versions: those accepted so far, oldest first, the last one in force.
    """
    if len(versions) < 2 or alike(versions[-1], text) >= ALIKE:
        return None
    if not any(alike(before, text) >= ALIKE for before in versions[:-1]):
        return None
    return medoid([*versions, text])


def medoid(texts: Sequence[str]) -> str:
    """Of several texts the one that shares most words with all of them; of equals the earliest."""
    return max(texts, key=lambda text: round(sum(alike(text, other) for other in texts), 9))


def alike(a: str, b: str) -> float:
    """Common words over all words, in [0, 1]; 1 for two texts without words."""
    first, second = set(a.casefold().split()), set(b.casefold().split())
    return len(first & second) / len(first | second) if first or second else 1.0
