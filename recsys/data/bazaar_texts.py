"""The labels of `bazaar`'s goods: titles, categories and descriptions that tell a part of the truth."""

from __future__ import annotations

from collections.abc import Container, Sequence

import numpy as np
import pandas as pd

from .bazaar_words import DEPARTMENTS, MAKER_ENDS, MAKER_STARTS, MOODS, PLAIN_SENTENCES, Department, Kind
from .dataset import Ints

HONEST = 0.9
"""Share of goods that advertise their true mood; the rest advertises one drawn at random."""
NO_CATEGORIES, NO_DESCRIPTION, NUMBERED = 0.06, 0.15, 0.05
"""Shares of goods without categories, without a description, and titled by a maker and a number only."""


def described(kinds: Ints, moods: Ints, rng: np.random.Generator) -> pd.DataFrame:
    """The items' table, one row a kind and mood: item_id, title (all different), categories, description.

    What is not said is an empty text; no item lacks both categories and description.
    """
    titles: dict[str, None] = {}
    categories, descriptions = [], []
    for kind_number, mood_number in zip(kinds.tolist(), moods.tolist(), strict=True):
        department, at = shelf(kind_number)
        kind, goes_with = department.kinds[at], department.kinds[(at + 1) % len(department.kinds)]
        mood = MOODS[mood_number if rng.random() < HONEST else int(rng.integers(len(MOODS)))]
        noun, material = _pick(kind.nouns, rng), _pick(department.materials, rng)
        titles[_title(mood.words, material, noun, titles, rng)] = None
        missing = rng.random()
        categories.append("" if missing < NO_CATEGORIES else f"{department.name}, {kind.shelf}")
        silent = NO_CATEGORIES <= missing < NO_CATEGORIES + NO_DESCRIPTION
        text = _description(kind, goes_with, mood.sentences, material, noun, rng)
        descriptions.append("" if silent else text)
    item_id = [f"g{i:04d}" for i in range(len(titles))]
    return pd.DataFrame(
        {"item_id": item_id, "title": list(titles), "categories": categories, "description": descriptions}
    )


def shelf(kind: int) -> tuple[Department, int]:
    """The department of a kind, numbered through all departments, and the kind's place in it."""
    each = len(DEPARTMENTS[0].kinds)
    return DEPARTMENTS[kind // each], kind % each


def _title(moods: Sequence[str], material: str, noun: str, taken: Container[str], rng: np.random.Generator) -> str:
    while True:
        if rng.random() < NUMBERED:
            words = [_maker(rng), f"No. {rng.integers(1, 1000)}"]
        else:
            # Mood, material and maker each appear in a part of the titles only.
            present = rng.random(3) < (0.6, 0.6, 0.3)
            parts = (_pick(moods, rng), material, _maker(rng))
            mood, stuff, maker = ([part] if show else [] for part, show in zip(parts, present, strict=True))
            words = [*maker, *mood, *stuff, noun]
        title = " ".join(words)
        if title not in taken and len(words) > 1:
            return title


def _description(
    kind: Kind, goes_with: Kind, moods: Sequence[str], material: str, noun: str, rng: np.random.Generator
) -> str:
    article = "An" if material[0] in "AEIO" else "A"
    use = f"{article} {material.lower()} {noun.lower()} that {_pick(kind.uses, rng)}."
    if rng.random() < 0.15:
        return f"{use} Goes well with our {goes_with.shelf.lower()}."
    return f"{use} {_pick(moods if rng.random() < 0.8 else PLAIN_SENTENCES, rng)}"


def _maker(rng: np.random.Generator) -> str:
    return _pick(MAKER_STARTS, rng) + _pick(MAKER_ENDS, rng)


def _pick(words: Sequence[str], rng: np.random.Generator) -> str:
    return words[int(rng.integers(len(words)))]
