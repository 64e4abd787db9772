"""The random split of click prediction: rows to train, validation and test whatever their user and time."""

from __future__ import annotations

import math

import numpy as np

from ...errors import ConfigError, DataError
from ..data.dataset import Dataset, Split


def random_rows(data: Dataset, valid: float = 0.1, test: float = 0.1, seed: int = 0) -> Split:
    """floor(n * valid) rows to validation, floor(n * test) to test, the rest to train, drawn by `seed`.

    Train then holds rows later than those of test: use it to compare with published figures, `global_time` for what a
    service would meet. Raises ConfigError for shares that leave nothing to train on.
    """
    if valid < 0 or test < 0 or valid + test >= 1:
        raise ConfigError(f"valid={valid:g} and test={test:g}; give shares from 0 up whose sum is below 1")
    n_valid, n_test = (math.floor(len(data) * share + 1e-9) for share in (valid, test))
    if not n_test or len(data) == n_valid + n_test:
        raise DataError(f"dataset {data.name!r}: {len(data)} rows are too few for shares {valid:g} and {test:g}")
    place = np.random.default_rng([seed, len(data)]).permutation(len(data))
    to_test, to_valid = place < n_test, (place >= n_test) & (place < n_test + n_valid)
    return Split(data.rows(~(to_test | to_valid)), data.rows(to_valid), data.rows(to_test))
