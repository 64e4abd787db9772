"""Memory: memos owned by one user or item, kept in process or in chroma, and the embedders that place their texts."""

from .chroma import ChromaMemory
from .embeddings import EmbedderConfig, embedder, embedding_endpoint, sentence_transformer, tfidf_svd
from .list_memory import ListMemory
from .memory import Archive, Embedder, Field, Found, Kind, Memo, Memory
from .tfidf import TfidfSVD
from .weights import RecallWeights

__all__ = [
    "Archive",
    "ChromaMemory",
    "Embedder",
    "EmbedderConfig",
    "Field",
    "Found",
    "Kind",
    "ListMemory",
    "Memo",
    "Memory",
    "RecallWeights",
    "TfidfSVD",
    "embedder",
    "embedding_endpoint",
    "sentence_transformer",
    "tfidf_svd",
]
