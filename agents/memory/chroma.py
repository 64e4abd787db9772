"""`ChromaMemory`: memos in a chromadb folder or on a `chroma run` server, recalled exactly within one owner.

Chroma keeps and finds; it is asked once an owner, and the scoring is exact and in process: .1 ms a recall, where a
search by chroma's index with an owner filter takes 3 to 6.
"""

from __future__ import annotations

import json
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import httpx
import numpy as np

from ...errors import ConfigError, RunError
from .memory import Embedder, Field, Found, Kind, Memo
from .owner_memos import OwnerMemos, key, storable
from .weights import RecallWeights
from .writer_lock import WriterLock

if TYPE_CHECKING:
    from chromadb.api.client import Client


class ChromaMemory:
    """A memory on disk: a folder of this process's own (`path`), or a server that several processes share (`url`).

    Writes are buffered until `flush` or until `batch_size` memos wait; buffered ones are recalled like all others.
    `owners_held` owners' memos stay in process: what *another* process writes about one of these is not seen, so shard
    a run by owner. Embeddings are ours; chroma's default model is never loaded and its telemetry is off.

    Raises ConfigError where the collection was filled by another embedder, RunError where the folder has another writer
    or the server cannot be reached.
    """

    def __init__(
        self,
        embed: Embedder,
        *,
        path: Path | None = None,
        url: str | None = None,
        collection: str = "memories",
        weights: RecallWeights | None = None,
        batch_size: int = 512,
        owners_held: int = 4096,
    ) -> None:
        if (path is None) == (url is None):
            raise ConfigError("a chroma memory needs `path` (a folder) or `url` (a `chroma run` server), and not both")
        self._embed = embed
        self._weights = weights or RecallWeights()
        self._owners_held = owners_held
        self._pending: dict[str, Memo] = {}
        self._shelves: OrderedDict[str, OwnerMemos] = OrderedDict()
        self._guard = RLock()  # LangGraph runs plain nodes on threads
        self._process = os.getpid()
        self._place = url or str(path)
        self._lock = WriterLock(path) if path is not None else None
        self._closed = False
        self._client: Client | None = None
        try:
            with self._chroma_errors():
                self._client = _client(path, url)
                self._batch_size = min(batch_size, self._client.get_max_batch_size())
                self._collection = self._client.get_or_create_collection(
                    collection,
                    embedding_function=None,
                    metadata={"embedder": embed.name},
                    # Inner product: cosine for our unit rows, and chroma then keeps them bit for bit.
                    configuration={"hnsw": {"space": "ip"}},
                )
            self._same_embedder(collection)
        except BaseException:
            self._release()
            raise

    def remember(self, memos: Sequence[Memo]) -> None:
        with self._guard:
            self._usable()
            for memo in map(storable, memos):
                self._pending[key(memo)] = memo
                shelf = self._shelves.get(memo.owner)
                if shelf is not None:
                    shelf.put(memo)
                if len(self._pending) >= self._batch_size:
                    self.flush()

    def recall(
        self,
        owner: str,
        about: str,
        k: int,
        *,
        now: int,
        kinds: Sequence[Kind] = (),
        weights: RecallWeights | None = None,
    ) -> list[Memo]:
        query = self._embed([about])[0]
        with self._guard:
            shelf = self._shelf(owner)
            return shelf.best(query, k, now=now, kinds=kinds, weights=weights or self._weights, embed=self._embed)

    def versions(self, owner: str, kind: Kind) -> list[Memo]:
        """Every memo of one kind, oldest first: the history of a profile."""
        with self._guard:
            return self._shelf(owner).versions(kind)

    def nearest(self, text: str, k: int, where: Mapping[Field, str | int] | None = None) -> list[Found]:
        """The k memos of any owner most similar to `text`, best first, by chroma's index (approximate, 2 ms).

        What is buffered is flushed first. None for a text without a known word.
        """
        query = self._embed([text])[0]
        if not query.any() or k < 1:
            return []
        terms: list[Any] = [{field: value} for field, value in (where or {}).items()]
        with self._guard:
            self.flush()
            with self._chroma_errors():
                hits = self._collection.query(
                    query_embeddings=query[None],
                    n_results=k,
                    where={"$and": terms} if len(terms) > 1 else next(iter(terms), None),
                    include=["metadatas", "documents", "distances"],
                )
        documents, metadatas, distances = hits["documents"], hits["metadatas"], hits["distances"]
        assert documents is not None
        assert metadatas is not None
        assert distances is not None
        return [
            Found(_memo(document, metadata), 1.0 - distance)
            for document, metadata, distance in zip(documents[0], metadatas[0], distances[0], strict=True)
        ]

    def flush(self) -> None:
        with self._guard:
            self._usable()
            if not self._pending:
                return
            memos = list(self._pending.values())
            rows = self._embed([memo.text for memo in memos])
            with self._chroma_errors():
                self._collection.upsert(
                    ids=list(self._pending),
                    embeddings=rows,
                    documents=[memo.text for memo in memos],
                    metadatas=[_metadata(memo) for memo in memos],
                )
            self._pending.clear()

    def close(self) -> None:
        """Flush and let the folder go to another writer; closing twice is harmless."""
        with self._guard:
            if self._closed:
                return
            try:
                self.flush()
            finally:
                self._release()

    def __enter__(self) -> ChromaMemory:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _shelf(self, owner: str) -> OwnerMemos:
        """The owner's memos, fetched unless they are held, with what is still buffered."""
        self._usable()
        shelf = self._shelves.get(owner)
        if shelf is None:
            shelf = OwnerMemos()
            with self._chroma_errors():
                stored = self._collection.get(where={"owner": owner}, include=["metadatas", "documents", "embeddings"])
            documents, metadatas, rows = stored["documents"], stored["metadatas"], stored["embeddings"]
            assert documents is not None
            assert metadatas is not None
            assert rows is not None
            for document, metadata, row in zip(documents, metadatas, rows, strict=True):
                shelf.put(_memo(document, metadata), np.asarray(row, dtype=np.float32))
            for memo in self._pending.values():
                if memo.owner == owner:
                    shelf.put(memo)
            self._shelves[owner] = shelf
            while len(self._shelves) > self._owners_held:
                self._shelves.popitem(last=False)
        self._shelves.move_to_end(owner)
        return shelf

    def _same_embedder(self, collection: str) -> None:
        there = (self._collection.metadata or {}).get("embedder")
        if there != self._embed.name:
            raise ConfigError(
                f"collection {collection!r} at {self._place} holds vectors of {there or 'an unnamed embedder'}, this "
                f"memory embeds with {self._embed.name}: use that embedder, or another `collection` or folder"
            )

    def _usable(self) -> None:
        if self._closed:
            raise RunError(f"memory at {self._place} is closed: open it again")
        if os.getpid() != self._process:
            raise RunError(
                f"memory at {self._place} was opened by process {self._process} and this is a fork of it: open it "
                "anew in each process, on a `chroma run` server by `url`, for a folder takes one writer"
            )

    def _release(self) -> None:
        self._closed = True
        if self._client is not None:
            self._client.close()  # or this process would go on using the open files of a folder since replaced
        if self._lock is not None:
            self._lock.release()

    @contextmanager
    def _chroma_errors(self) -> Iterator[None]:
        """Chroma's errors as ours, with the place."""
        from chromadb.errors import ChromaError

        try:
            yield
        except (ChromaError, httpx.HTTPError) as error:
            raise RunError(f"memory at {self._place}: {type(error).__name__}: {error}") from error


def _client(path: Path | None, url: str | None) -> Client:
    import chromadb  # 0.8 s, which runs without a memory on disk need not pay
    from chromadb.config import Settings

    settings = Settings(anonymized_telemetry=False)
    if path is not None:
        return cast("Client", chromadb.PersistentClient(path=path, settings=settings))
    parts = urlsplit(url or "")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"memory url {url!r} is no server's address: give one such as http://127.0.0.1:8000")
    secure = parts.scheme == "https"
    port = parts.port or (443 if secure else 8000)
    try:
        client = chromadb.HttpClient(host=parts.hostname, port=port, ssl=secure, settings=settings)
    except ValueError as error:
        raise RunError(
            f"memory at {url}: no chroma server answers ({error}); start one: chroma run --path FOLDER --port {port}"
        ) from error
    return cast("Client", client)  # what it is; the annotation of chroma leaves out `close`


def _metadata(memo: Memo) -> dict[str, str | int | float]:
    return {
        "owner": memo.owner,
        "side": memo.side,
        "kind": memo.kind,
        "round": int(memo.round),  # chroma refuses the integers of NumPy
        "step": int(memo.step),
        "importance": float(memo.importance),
        "source": memo.source,
        "part": memo.part,
        # Chroma's metadata are single values.
        "evidence": json.dumps(memo.evidence),
    }


def _memo(text: str, metadata: Mapping[str, Any]) -> Memo:
    fields = {field: value for field, value in metadata.items() if field not in ("side", "evidence")}
    return Memo(text=text, evidence=tuple(json.loads(metadata.get("evidence", "[]"))), **fields)
