"""The datasets a study trains on: raw, refined, and controls of the same size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd

from ...recsys.controls import balance, edit_size, popularity_edit, random_edit
from ...recsys.controls.edits import row_edits
from ...recsys.data import Dataset
from ...recsys.data.dataset import Floats
from ...recsys.denoising.owners import Bools

Control = Literal["random_edit", "popularity_edit", "facts_only", "oracle"]
RAW, REFINED = "raw", "refined"
FACTS: Control = "facts_only"
POPULARITY: Control = "popularity_edit"
ORACLE: Control = "oracle"
"""Raw without the planted noise: an upper bound, not a control that refined has to beat."""
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
    raw: Dataset,
    refined: Dataset | None,
    controls: Sequence[str],
    seed: int,
    facts: Floats | None = None,
    noise: Bools | None = None,
) -> list[Variant]:
    """Raw, and, where agents have refined it, refined and the controls named.

    refined None: no agent ran, raw stands alone. Edits are drawn with rng [seed, training seed, place]. facts:
    (n_items, d) vectors of the catalogue's own texts. `facts_only` is raw with these, made only where refined has
    vectors of texts: it tells what agents wrote from what the shop wrote. noise: (n,) rows of raw that are planted
    noise; `oracle` gives them weight 0, as a step that removes exactly these rows would.
    """
    chosen = [Variant(RAW, lambda _: raw)]
    if refined is None:
        return chosen
    chosen.append(Variant(REFINED, lambda _: refined))
    for place, name in enumerate(controls):
        if name in EDITS:
            chosen.append(Variant(name, partial(_control, raw, refined, name, seed, place), by_seed=True))
        elif name == ORACLE and noise is not None:
            clean = raw.with_(interactions=raw.interactions.assign(weight=np.where(noise, 0, raw.weight).astype("f4")))
            chosen.append(Variant(name, partial(_same, clean)))
        elif name == FACTS and facts is not None and writes_vectors(raw, refined):
            described = raw.with_(item_vectors=facts)
            chosen.append(Variant(name, partial(_same, described), only_for=frozenset({"item_vectors"})))
    return chosen


def writes_vectors(raw: Dataset, refined: Dataset) -> bool:
    """Whether the agents gave items initial vectors where raw has none."""
    return refined.item_vectors is not None and raw.item_vectors is None


def with_facts(controls: Sequence[Control], raw: Dataset, refined: Dataset | None) -> tuple[Control, ...]:
    """The controls of a study; `facts_only` joins any others where agents wrote vectors.

    Vectors of the catalogue's own texts may be all that a model gains by: no other control would notice.
    """
    if refined is None:
        return ()
    missing = bool({*controls} - {ORACLE}) and FACTS not in controls and writes_vectors(raw, refined)
    return (*controls, FACTS) if missing else tuple(controls)


def balance_of(raw: Dataset, chosen: Sequence[Variant], seed: int) -> pd.DataFrame:
    """`recsys.controls.balance` of refined and the controls that make edits, as made for one training seed."""
    datasets = {variant.name: variant.train(seed) for variant in chosen if variant.name in (REFINED, *EDITS)}
    return balance(raw, datasets, datasets[REFINED]) if datasets else pd.DataFrame()


def _same(data: Dataset, _: int) -> Dataset:
    return data


def size_of(raw: Dataset, refined: Dataset) -> dict[str, int]:
    """How many edits lead from raw to refined, by kind; only kinds that occur."""
    return {kind: count for kind, count in edit_size(raw, refined).items() if count}


def removal_accuracy(raw: Dataset, refined: Dataset, noise: Bools) -> dict[str, float]:
    """How the rows that refined removes, replaces or gives weight 0 agree with the planted noise.

    noise: (n,) rows of raw. Gives counts `rows`, `planted`, `removed`, `both`, and `precision`, `recall` (NaN where
    nothing was removed or planted).
    """
    edits = row_edits(raw, refined)
    removed = edits.removed | (edits.replaced >= 0) | ((edits.weight == 0) & (raw.weight > 0))
    both, nan = int((removed & noise).sum()), float("nan")
    n_removed, n_planted = int(removed.sum()), int(noise.sum())
    return {
        "rows": len(raw),
        "planted": n_planted,
        "removed": n_removed,
        "both": both,
        "precision": both / n_removed if n_removed else nan,
        "recall": both / n_planted if n_planted else nan,
    }


def _control(raw: Dataset, refined: Dataset, name: str, seed: int, place: int, training_seed: int) -> Dataset:
    return EDITS[name](raw, refined, np.random.default_rng([seed, training_seed, place]))
