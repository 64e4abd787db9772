"""The datasets a study trains on: raw, refined, and controls of the same size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ...recsys.controls import edit_size, popularity_edit, random_edit
from ...recsys.data import Dataset
from ...recsys.data.dataset import Floats

RAW, REFINED = "raw", "refined"
EDITS = {"random_edit": random_edit, "popularity_edit": popularity_edit}


@dataclass(frozen=True, slots=True)
class Variant:
    """A dataset to train on. A control is drawn anew for each training seed, so that its luck is averaged too."""

    name: str
    train: Callable[[int], Dataset]
    """Training seed -> the train side."""
    by_seed: bool = False
    """Whether that side differs from seed to seed."""
    only_for: frozenset[str] = frozenset()
    """What a model must accept for this variant to be worth training; empty: every model."""


def variants(
    raw: Dataset, refined: Dataset | None, controls: Sequence[str], seed: int, facts: Floats | None = None
) -> list[Variant]:
    """Raw, and, where agents have refined it, refined and the controls named.

    refined None: no agent ran, raw stands alone. Edits are drawn with rng [seed, training seed, place]. facts:
    (n_items, d) vectors of the catalogue's own texts. `facts_only` is raw with these, made only where refined has
    vectors of texts: it tells what agents wrote from what the shop wrote.
    """
    found = [Variant(RAW, lambda _: raw)]
    if refined is None:
        return found
    found.append(Variant(REFINED, lambda _: refined))
    for place, name in enumerate(controls):
        if name in EDITS:
            found.append(Variant(name, partial(_control, raw, refined, name, seed, place), by_seed=True))
        elif facts is not None and refined.item_vectors is not None and raw.item_vectors is None:
            told = raw.with_(item_vectors=facts)
            found.append(Variant(name, lambda _, told=told: told, only_for=frozenset({"item_vectors"})))  # type: ignore[misc]
    return found


def size_of(raw: Dataset, refined: Dataset) -> dict[str, int]:
    """How many edits lead from raw to refined, by kind; only kinds that occur."""
    return {kind: count for kind, count in edit_size(raw, refined).items() if count}


def _control(raw: Dataset, refined: Dataset, name: str, seed: int, place: int, training_seed: int) -> Dataset:
    return EDITS[name](raw, refined, np.random.default_rng([seed, training_seed, place]))
