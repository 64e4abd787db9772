"""The windows at one planted rate as a task of ranking, and what each variant of the data makes of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
from denoise_detect import SEED, Toys, of, self_supervised, windows_at
from detector_metrics import best_threshold
from learnt_detectors import one_sequence_each
from recloop.recsys.controls import popularity_edit, random_edit
from recloop.recsys.data import Dataset
from recloop.recsys.denoising.owners import Bools, Doubts, owners
from recloop.recsys.denoising.planting import planted

EDITS = ("raw", "denoised", "random_edit", "popularity_edit", "oracle", "T-CE", "R-CE")


@dataclass(frozen=True)
class Phase:
    """Trained on some files of windows, asked for the last items of another's."""

    train: tuple[str, ...]
    targets: str


VALID, TEST = Phase(("train",), "valid"), Phase(("train", "valid"), "test")


class Rate:
    """The windows at one planted rate, and what each variant makes of them."""

    def __init__(self, rate: float, folder: Path, phase: Phase, out: Path) -> None:
        self.rate, self.folder, self.phase, self.out = rate, folder, phase, out

    @cached_property
    def toys(self) -> Toys:
        if self.rate in (0.0, 0.1):
            return windows_at(self.folder / ("noise-0.1" if self.rate else "noise-0.0"))
        clean = windows_at(self.folder / "noise-0.0")
        return of(*planted(clean.data, self.rate, SEED, keep=clean.test & is_last(clean.data)))

    @cached_property
    def rows(self) -> Bools:
        """(n,) those of the windows that are trained on."""
        return np.logical_or.reduce([getattr(self.toys, side) for side in self.phase.train])

    @cached_property
    def pair(self) -> npt.NDArray[np.int64]:
        """(n,) a number for each owner and item."""
        return owners(self.toys.data)[self.toys.data.user] * self.toys.data.n_items + self.toys.data.item

    @cached_property
    def known(self) -> Bools:
        """(n,) what a denoiser may count: rows trained on and histories, no item of an owner who is asked for it."""
        side = getattr(self.toys, self.phase.targets)
        return (self.rows | side) & ~np.isin(self.pair, self.pair[side & is_last(self.toys.data)])

    @cached_property
    def doubt(self) -> Doubts:
        """(n,) of the combination learnt from self-planted noise: the mean over all windows of the owner that hold the
        item, for an item is noise in all of them or in none. Kept in `out`."""
        path = self.out / f"doubt-{self.phase.targets}-{self.toys.data.fingerprint}.npy"
        if not path.is_file():
            detector, columns = self_supervised(self.toys.data, self.known)
            np.save(path, pd.Series(detector(columns)).groupby(self.pair).transform("mean").to_numpy())
        return np.load(path)

    def targets(self) -> tuple[Dataset, Dataset, Bools]:
        """Histories and targets of the windows asked about, and the rows of the data that are histories."""
        side, last = getattr(self.toys, self.phase.targets), is_last(self.toys.data)
        return self.toys.data.rows(side & ~last), self.toys.data.rows(side & last), side & ~last

    def sequences(self, noise: Bools) -> tuple[Dataset, Bools]:
        """A user an owner, of the rows trained on; and which of the sequences' rows `noise` (n,) is true for."""
        merged = one_sequence_each(self.toys.data, self.rows)
        ids = merged.users["user_id"].to_numpy(np.int64)
        bad = np.unique(self.pair[self.rows & noise])
        return merged, np.isin(ids[merged.user] * self.toys.data.n_items + merged.item, bad)


def cut_by_validation(folder: Path, out: Path) -> float:
    """The doubt from which flagging is best, by F1 on the validation windows at 10 %, for nobody knows a log's rate."""
    at = Rate(0.1, folder, VALID, out)
    rows = at.targets()[2]
    return best_threshold(at.doubt[rows], at.toys.truth.planted[rows])


def edited(data: Dataset, bad: Bools, variant: str, seed: int) -> Dataset:
    """What a variant trains on or scores from, where `bad` (n,) are the rows that it would remove."""
    refined = data.rows(~bad)
    if variant in ("random_edit", "popularity_edit"):
        edit = random_edit if variant == "random_edit" else popularity_edit
        return edit(data, refined, np.random.default_rng([SEED, seed, EDITS.index(variant)]))
    return refined if variant in ("denoised", "oracle") else data


def is_last(data: Dataset) -> Bools:
    """(n,) true for the last row of each user."""
    last = np.zeros(len(data), bool)
    last[data.indptr[1:][data.user_counts > 0] - 1] = True
    return last
