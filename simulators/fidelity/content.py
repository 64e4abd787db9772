"""The content rule: how near an item is to what somebody took last, by category and era. No model, no training.

A baseline for models that read titles: it uses the catalogue and the user's history, not other users.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix

from ...recsys.data import Dataset

LAST = 10
"""Items of the history that count; the measured value on MovieLens stands in benchmarks/fidelity.md."""
ERA = 5.0
"""Years after which closeness in time has fallen to 1/e."""
_YEAR = re.compile(r"\((\d{4})\)")
_WORD = re.compile(r"[^\W_]+")

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Content:
    """Content features of a catalogue. `parts` names the features in use."""

    terms: csr_matrix
    """(n_items, n_terms) unit rows of rarity-weighted categories (words of title and description where there are
    none); a zero row where nothing is said."""
    year: Doubles
    """(n_items,) NaN where unknown."""
    parts: tuple[str, ...]

    def scores(self, history: Sequence[int], candidates: Sequence[int]) -> Doubles:
        """(len(shown),) mean closeness, in [0, 1], to the last items of the history; 0 for an empty history.

        Closeness of two items: the mean of the cosine of their terms and exp(-|years between| / ERA), of what is known.
        """
        last, items = np.asarray(history[-LAST:], np.int64), np.asarray(candidates, np.int64)
        if not len(last):
            return np.zeros(len(items))
        alike = (self.terms[items] @ self.terms[last].T).toarray()
        if "era" not in self.parts:
            return np.asarray(alike.mean(axis=1))
        near = np.exp(-np.abs(self.year[items][:, None] - self.year[last]) / ERA)
        both = np.where(np.isnan(near), alike, (alike + np.nan_to_num(near)) / 2)
        return np.asarray(both.mean(axis=1))


def content(data: Dataset) -> Content:
    """The rule for one catalogue. Era counts where at least half of the items have a year."""
    texts, parts = [_categories(text) for text in data.items["categories"]], ["category"]
    if not any(texts):
        described = data.items["description"] if "description" in data.items else [""] * data.n_items
        titles = data.items["title"]
        texts = [[w.lower() for w in _WORD.findall(f"{t} {d}")] for t, d in zip(titles, described, strict=True)]
        parts = ["words"]
    year = years(data)
    if np.isfinite(year).mean() >= 0.5:
        parts.append("era")
    return Content(_weighted(texts), year, tuple(parts))


def years(data: Dataset) -> Doubles:
    """(n_items,) years, from a column `year` or from a title that ends in one; NaN where neither tells."""
    if "year" in data.items:
        years = data.items["year"].to_numpy(np.float64, copy=True)
        years[years <= 0] = np.nan
        return years
    stated = [_YEAR.findall(title) for title in data.items["title"]]
    return np.array([float(years[-1]) if years else np.nan for years in stated])


def _categories(text: str) -> list[str]:
    """A category's names, lower-case. A bare year among them is an era, which counts by itself."""
    parts = [part.strip().lower() for part in re.split(r"[,|;>]", text)]
    return [part for part in parts if part and not re.fullmatch(r"\d{4}", part)]


def _weighted(texts: Sequence[Sequence[str]]) -> csr_matrix:
    """Unit rows of idf-weighted terms; a term of one item alone tells nothing of likeness and is left out."""
    spread = Counter(term for terms in texts for term in set(terms))
    names = {term: place for place, term in enumerate(t for t, n in sorted(spread.items()) if n > 1)}
    rows: list[int] = []
    columns: list[int] = []
    weights: list[float] = []
    for row, terms in enumerate(texts):
        own = sorted(set(terms) & names.keys())
        values = np.array([1 + np.log(len(texts) / spread[term]) for term in own])
        rows += [row] * len(own)
        columns += [names[term] for term in own]
        weights += (values / np.linalg.norm(values)).tolist() if len(own) else []
    return csr_matrix((weights, (rows, columns)), shape=(len(texts), max(1, len(names))))
