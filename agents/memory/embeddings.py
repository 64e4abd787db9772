"""Which embedder a study asks for: TF-IDF + SVD on its own catalogue, a sentence-transformers model, or a server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, NonNegativeInt, PositiveInt, model_validator

from ...identity import Transport
from .endpoint import embedding_endpoint
from .memory import Embedder
from .sentences import sentence_transformer
from .tfidf import fitted, tfidf_svd
from .vector_cache import VectorCache

__all__ = ["EmbedderConfig", "embedder", "embedding_endpoint", "sentence_transformer", "tfidf_svd"]


class EmbedderConfig(BaseModel):
    """The `embedder:` of a study."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: Literal["tfidf_svd", "sentence_transformer", "endpoint"] = "tfidf_svd"
    embedding_size: PositiveInt = 128
    """Columns of TF-IDF + SVD, at most; the other providers' models have their own."""
    seed: NonNegativeInt = 0
    """Of the randomised SVD."""
    model: str = ""
    """sentence_transformer: a model's folder or name; endpoint: the model's name on the server."""
    base_url: str = ""
    """endpoint: address up to and with `/v1`."""
    api_key_env: Transport[str] = "OPENAI_API_KEY"
    """endpoint: the environment variable that holds the key; the key itself is never written down."""
    batch_size: Transport[PositiveInt] = 64
    """Texts of one forward pass or one request."""
    held: Transport[NonNegativeInt] = 20_000
    """Vectors kept in process, of the texts asked for last."""

    def content_paths(self) -> dict[str, Path]:
        """A model in a folder is what the folder holds."""
        folder = Path(self.model).expanduser()
        return {"model": folder} if self.provider == "sentence_transformer" and folder.is_dir() else {}

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.provider != "tfidf_svd" and not self.model:
            raise ValueError(f"provider {self.provider} needs `model`")
        if self.provider == "endpoint" and not self.base_url:
            raise ValueError("provider endpoint needs `base_url`, such as http://127.0.0.1:8000/v1")
        return self


def embedder(config: EmbedderConfig, texts: Sequence[str]) -> Embedder:
    """The embedder asked for; `texts` (the catalogue's) are what TF-IDF + SVD is fitted on, the others ignore them."""
    if config.provider == "sentence_transformer":
        return sentence_transformer(config.model, batch_size=config.batch_size, held=config.held)
    if config.provider == "endpoint":
        return embedding_endpoint(
            config.base_url, config.model, config.api_key_env, batch_size=config.batch_size, held=config.held
        )
    return VectorCache(fitted(texts, config.embedding_size, config.seed), config.held)
