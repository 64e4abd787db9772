"""Sentence-transformers models as embedders (the extra `embeddings`); imported only when one is chosen."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import ConfigError
from .memory import Embedder
from .vector_cache import VectorCache


class _Model:
    def __init__(self, name: str, model: Any, batch_size: int) -> None:
        self.name = name
        self._model = model
        self._batch_size = batch_size

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        if not texts:
            return np.zeros((0, self._model.get_embedding_dimension()), dtype=np.float32)
        rows = self._model.encode(
            list(texts),
            batch_size=self._batch_size,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return np.asarray(rows, dtype=np.float32)


def sentence_transformer(
    path_or_name: str | Path, *, device: str = "cpu", batch_size: int = 64, held: int = 20_000
) -> Embedder:
    """The model in a folder, or of a hub's name (which downloads it unless it was downloaded before).

    `batch_size` is in texts. The embedder's name carries a digest of the first and last weights: a model trained
    further is another vector space. ConfigError where the extra is not installed or the model cannot be loaded.
    """
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise ConfigError("sentence-transformers is not installed: pip install 'recloop[embeddings]'") from error
    try:
        model = SentenceTransformer(str(path_or_name), device=device)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"sentence-transformers cannot load {path_or_name!s}: name a folder that holds a model ({error})"
        ) from error
    weights = list(model.parameters())
    digest = sha256()
    for weight in (weights[0], weights[-1]):
        digest.update(weight.detach().cpu().float().numpy().tobytes())
    name = f"sentence-transformers:{Path(path_or_name).name}@{digest.hexdigest()[:12]}"
    return VectorCache(_Model(name, model, batch_size), held)
