"""TF-IDF + SVD: the default embedder, fitted on the catalogue's own texts, no download and no network.

Latent semantic analysis (Deerwester et al. 1990): rows of (1 + ln tf) * idf, projected on the leading right singular
vectors of the texts it was fitted on.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import DataError
from .memory import Embedder
from .vector_cache import VectorCache

_SIGN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"  # kana and Han, written without spaces: each sign is a word
_WORD = re.compile(rf"[{_SIGN}]|[^\W{_SIGN}][^\W{_SIGN}]+")
_SHORT_WORD = re.compile(r"[^\W_]")
_WEIGHTS, _WORDS = "tfidf_svd.safetensors", "tfidf_svd.json"
_SMALLEST = 1e-6  # below it, a length is rounding noise and its direction means nothing


def words(text: str) -> list[str]:
    """Lower-case words of two characters or more, accents taken off; kana and Han signs singly.

    A text without such a word is its words of one character: "1", "V".
    """
    text = _folded(text)
    return _WORD.findall(text) or _SHORT_WORD.findall(text)


def _folded(text: str) -> str:
    text = text.lower()
    if text.isascii():
        return text
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


class TfidfSVD:
    """A fitted projection, without the library that fitted it: one text takes tens of microseconds."""

    __slots__ = ("_column", "_idf", "_projection", "name")

    def __init__(
        self, name: str, vocabulary: Sequence[str], idf: npt.NDArray[np.float32], projection: npt.NDArray[np.float32]
    ) -> None:
        """`idf` is (words,), `projection` (words, d)."""
        self.name = name
        self._column = {word: at for at, word in enumerate(vocabulary)}
        self._idf = idf
        self._projection = projection

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(len(texts), d) unit rows; a text without any known word is a zero row."""
        rows = np.zeros((len(texts), self._projection.shape[1]), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            counts = Counter(at for word in words(text) if (at := self._column.get(word)) is not None)
            if not counts:
                continue
            # Ascending columns: the order of words in a text must not reach the last bits of its vector.
            columns, tf = np.array(sorted(counts.items()), dtype=np.int64).T
            weight = (1.0 + np.log(tf)).astype(np.float32) * self._idf[columns]
            weight /= np.linalg.norm(weight)
            vector = weight @ self._projection[columns]
            length = float(np.linalg.norm(vector))
            if length > _SMALLEST:
                row[:] = vector / length
        return rows

    def save(self, folder: Path) -> None:
        """Write `tfidf_svd.json` (name, words) and `tfidf_svd.safetensors` (idf, projection)."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file({"idf": self._idf, "projection": self._projection}, folder / _WEIGHTS)
        text = json.dumps({"name": self.name, "words": list(self._column)}, ensure_ascii=False)
        (folder / _WORDS).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> TfidfSVD:
        """What `save` wrote; DataError where a file is missing or torn."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            stored = json.loads((folder / _WORDS).read_text(encoding="utf-8"))
            weights = load_file(folder / _WEIGHTS)
            vocabulary, idf, projection = stored["words"], weights["idf"], weights["projection"]
            if not len(vocabulary) == len(idf) == len(projection):
                raise DataError(f"{folder}: {_WORDS} and {_WEIGHTS} are of different embedders; fit and save it again")
            return cls(stored["name"], vocabulary, idf, projection)
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise DataError(f"{folder}: no readable TF-IDF + SVD embedder ({error}); fit and save it again") from error


def fitted(texts: Sequence[str], size: int = 128, seed: int = 0, *, most_words: int = 50_000) -> TfidfSVD:
    """Fit on `texts` (any order); see `tfidf_svd`."""
    # 0.6 s of imports that neither a loaded embedder nor another kind of embedder needs.
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    ordered = sorted(texts)
    about = [ordered, size, seed, most_words]
    if any(not _WORD.search(text) and _SHORT_WORD.search(text) for text in map(_folded, ordered)):
        about.append("words of one character")  # an earlier release had none: its vectors have another name
    digest = sha256(json.dumps(about).encode()).hexdigest()[:12]
    if not any(words(text) for text in ordered):
        raise DataError(
            f"none of the {len(ordered)} texts has a word to fit TF-IDF on: give the items titles or descriptions, "
            "or choose another embedder"
        )
    vectorizer = TfidfVectorizer(analyzer=words, sublinear_tf=True, max_features=most_words, dtype=np.float32)
    table = vectorizer.fit_transform(ordered)
    if table.shape[1] == 1:  # of one word the SVD is the word itself, which sklearn refuses to compute
        projection = np.ones((1, 1), np.float32)
    else:
        svd = TruncatedSVD(n_components=min(size, *table.shape), random_state=seed).fit(table)
        significant = svd.singular_values_ > _SMALLEST * svd.singular_values_[0]
        projection = svd.components_[significant].T.astype(np.float32)
    # A singular vector and its negative are equally right: the largest entry decides, so that refitting agrees.
    largest = projection[np.abs(projection).argmax(axis=0), np.arange(projection.shape[1])]
    projection = np.ascontiguousarray(projection * np.sign(largest))
    name = f"tfidf-svd-{projection.shape[1]}@{digest}"
    return TfidfSVD(name, vectorizer.get_feature_names_out().tolist(), vectorizer.idf_.astype(np.float32), projection)


def tfidf_svd(texts: Sequence[str], size: int = 128, seed: int = 0) -> Embedder:
    """An embedder of at most `size` columns (fewer where the texts have a smaller rank), fitted on `texts`.

    The same texts in any order, size and seed give the same vectors and the same name. DataError where no text has a
    word.
    """
    return VectorCache(fitted(texts, size, seed))
