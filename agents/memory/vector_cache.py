"""`VectorCache`: an embedder with the vectors of its most recent texts cached."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

import numpy as np
import numpy.typing as npt

from .memory import Embedder


class VectorCache:
    """Any embedder with at most `size` vectors held; only texts not held are embedded, each once, in one call."""

    def __init__(self, embed: Embedder, size: int = 20_000) -> None:
        self.name = embed.name
        self.embed = embed
        self._size = size
        self._held: OrderedDict[str, npt.NDArray[np.float32]] = OrderedDict()
        self._lock = Lock()

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(len(texts), d) unit rows; a text without any known word is a zero row."""
        vectors: dict[str, npt.NDArray[np.float32]] = {}
        with self._lock:
            for text in texts:
                vector = self._held.get(text)
                if vector is not None:
                    self._held.move_to_end(text)
                    vectors[text] = vector
        missing = [text for text in dict.fromkeys(texts) if text not in vectors]
        if missing or not texts:
            rows = self.embed(missing)
            if not texts:
                return rows
            vectors.update(zip(missing, rows, strict=True))
            with self._lock:
                self._held.update((text, vectors[text]) for text in missing)
                while len(self._held) > self._size:
                    self._held.popitem(last=False)
        return np.stack([vectors[text] for text in texts])
