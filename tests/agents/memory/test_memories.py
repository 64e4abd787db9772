"""Both memories, and chroma in both of its forms, keep the contract."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from recloop.agents.memory import Archive, ChromaMemory, ListMemory, Memo, RecallWeights, tfidf_svd
from recloop.errors import ConfigError, DataError, ModelUnavailable, RunError

from tests.agents.memory_contract import WORDS, MemoryContract, said

EMBED = MemoryContract.embed


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a `chroma run` server of our own."""
    chroma = shutil.which("chroma", path=str(Path(sys.executable).parent)) or shutil.which("chroma")
    if chroma is None:
        pytest.fail("no `chroma` command beside this Python: it comes with the package chromadb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("server")
    log = folder / "log"
    with log.open("w") as told:
        process = subprocess.Popen(
            [chroma, "run", "--path", str(folder / "data"), "--host", "127.0.0.1", "--port", str(port)],
            stdout=told,
            stderr=told,
            cwd=folder,
        )
    try:
        for _ in range(300):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v2/heartbeat", timeout=5).close()
                break
            except (urllib.error.URLError, ConnectionError):
                if process.poll() is not None:
                    pytest.fail(f"chroma run ended: {log.read_text()}")
                time.sleep(0.1)
        else:
            pytest.fail(f"chroma run did not answer: {log.read_text()}")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=20)


class TestListMemory(MemoryContract):
    @pytest.fixture
    def memory(self) -> Archive:
        return ListMemory(self.embed, weights=self.weights)


class TestChromaFolder(MemoryContract):
    @pytest.fixture
    def memory(self, tmp_path: Path) -> Iterator[Archive]:
        with ChromaMemory(self.embed, path=tmp_path / "memory", weights=self.weights, batch_size=7) as memory:
            yield memory


class TestChromaServer(MemoryContract):
    @pytest.fixture
    def memory(self, server: str) -> Iterator[Archive]:
        name = f"m{uuid4().hex}"
        with ChromaMemory(self.embed, url=server, collection=name, weights=self.weights, batch_size=7) as memory:
            yield memory


def test_a_reopened_folder_holds_what_was_written_and_scores_it_alike(tmp_path: Path) -> None:
    memos = [Memo("user:1", "evidence", text, step=at, importance=0.1 * at) for at, text in enumerate(WORDS)]
    with ChromaMemory(EMBED, path=tmp_path) as memory:
        memory.remember(memos)
        before = memory.recall("user:1", "wooden boat", 6, now=6)
    with ChromaMemory(EMBED, path=tmp_path) as memory:
        assert memory.recall("user:1", "wooden boat", 6, now=6) == before
        assert len(before) == len(memos)


def test_an_owner_let_go_is_fetched_again_with_what_is_buffered(tmp_path: Path) -> None:
    with ChromaMemory(EMBED, path=tmp_path, owners_held=1, batch_size=5) as memory:
        for step in range(4):
            for user in range(3):
                memory.remember([Memo(f"user:{user}", "evidence", "racing car", step=step)])
                recalled = memory.recall(f"user:{user}", "car", 9, now=step)
                assert [m.step for m in recalled] == list(range(step, -1, -1))


def test_a_collection_of_another_embedder_is_refused_naming_both(tmp_path: Path) -> None:
    ChromaMemory(EMBED, path=tmp_path).close()
    other = tfidf_svd([*WORDS, "one text more"])
    with pytest.raises(ConfigError) as refusal:
        ChromaMemory(other, path=tmp_path)
    assert EMBED.name in str(refusal.value)
    assert other.name in str(refusal.value)
    assert "collection" in str(refusal.value)
    # The refusal has let the folder go, and another collection in it is free to use the other embedder.
    ChromaMemory(other, path=tmp_path, collection="others").close()


def test_a_second_memory_on_an_open_folder_is_refused_naming_the_server_as_remedy(tmp_path: Path) -> None:
    with (
        ChromaMemory(EMBED, path=tmp_path),
        pytest.raises(RunError, match=r"another writer.*`chroma run --path .*`.*`url`"),
    ):
        ChromaMemory(EMBED, path=tmp_path)
    ChromaMemory(EMBED, path=tmp_path).close()


WRITER = """
import sys, time
from pathlib import Path
from recloop.agents.memory import ChromaMemory, Memo, tfidf_svd
memory = ChromaMemory(tfidf_svd({texts!r}, size=16), path=Path(sys.argv[1]))
memory.remember([Memo("user:1", "evidence", "racing car", step=step) for step in range(300)])
memory.flush()
memory.remember([Memo("user:1", "evidence", "sailing boat", step=1000)])
print("flushed", flush=True)
time.sleep(600)
"""


def test_a_killed_writer_leaves_what_it_flushed_and_no_lock(tmp_path: Path) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER.format(texts=WORDS), str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "flushed\n"
        with pytest.raises(RunError, match="another writer"):
            ChromaMemory(EMBED, path=tmp_path)
    finally:
        writer.send_signal(signal.SIGKILL)
        writer.communicate()
    with ChromaMemory(EMBED, path=tmp_path) as memory:
        recalled = memory.recall("user:1", "racing car", 1000, now=300)
        assert [m.step for m in recalled] == list(range(299, -1, -1))
        assert set(said(recalled)) == {"racing car"}
        # Few are asked for: chroma's index is approximate, and among 300 equal vectors it loses some.
        assert len(memory.nearest("racing car", 5)) == 5
        # The task that was cut off is done again: what was flushed is overwritten, not doubled.
        memory.remember([Memo("user:1", "evidence", "racing car", step=step) for step in range(300)])
        memory.remember([Memo("user:1", "evidence", "sailing boat", step=1000)])
        memory.flush()
        assert len(memory.versions("user:1", "evidence")) == 301


def test_a_closed_memory_says_so(tmp_path: Path) -> None:
    memory = ChromaMemory(EMBED, path=tmp_path)
    memory.close()
    with pytest.raises(RunError, match="closed"):
        memory.remember([Memo("user:1", "evidence", "racing car")])
    with pytest.raises(RunError, match="closed"):
        memory.recall("user:1", "car", 1, now=0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_of_the_writer_is_refused(tmp_path: Path) -> None:
    with ChromaMemory(EMBED, path=tmp_path) as memory:
        child = os.fork()
        if child == 0:
            status = 1
            try:
                memory.remember([Memo("user:1", "evidence", "racing car")])
            except RunError as refusal:
                status = 0 if "fork" in str(refusal) else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        # The child's end has not taken the parent's lock away.
        with pytest.raises(RunError, match="another writer"):
            ChromaMemory(EMBED, path=tmp_path)


def test_what_could_not_be_embedded_stays_buffered(tmp_path: Path) -> None:
    class Moody:
        name = EMBED.name
        down = True

        def __call__(self, texts: Sequence[str]) -> np.ndarray:
            if self.down:
                raise ModelUnavailable("the server is away", retryable=True)
            return EMBED(texts)

    embed = Moody()
    memory = ChromaMemory(embed, path=tmp_path)
    memory.remember([Memo("user:1", "evidence", "racing car")])
    with pytest.raises(ModelUnavailable):
        memory.flush()
    embed.down = False
    memory.close()
    with ChromaMemory(EMBED, path=tmp_path) as memory:
        assert said(memory.recall("user:1", "car", 9, now=0)) == ["racing car"]


def test_two_writers_share_a_server(server: str) -> None:
    name = f"m{uuid4().hex}"
    with (
        ChromaMemory(EMBED, url=server, collection=name) as one,
        ChromaMemory(EMBED, url=server, collection=name) as two,
    ):
        one.remember([Memo("user:1", "evidence", "racing car")])
        one.flush()
        two.remember([Memo("user:2", "evidence", "sailing boat")])
        two.flush()
        assert said(two.recall("user:1", "car", 9, now=0)) == ["racing car"]
        assert said(one.recall("user:2", "boat", 9, now=0)) == ["sailing boat"]


def test_a_server_that_is_not_there_is_named_with_the_remedy() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    with pytest.raises(RunError, match=rf"127.0.0.1:{port}.*chroma run"):
        ChromaMemory(EMBED, url=f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("place", [{}, {"url": "127.0.0.1:8000"}, {"url": "http://a", "path": Path("b")}])
def test_a_place_that_is_none_is_refused(place: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="url"):
        ChromaMemory(EMBED, **place)  # type: ignore[arg-type]


def test_the_weights_decide_what_counts() -> None:
    memos = [
        Memo("user:1", "evidence", "racing car", step=0, importance=0.0),
        Memo("user:1", "evidence", "sailing boat", step=9, importance=0.0),
        Memo("user:1", "evidence", "garden tree", step=0, round=1, importance=1.0),
    ]
    for weights, first in (
        (RecallWeights(similarity=1, recency=0, importance=0), "racing car"),
        (RecallWeights(similarity=0, recency=1, importance=0), "sailing boat"),
        (RecallWeights(similarity=0, recency=0, importance=1), "garden tree"),
    ):
        memory = ListMemory(EMBED, weights=weights)
        memory.remember(memos)
        assert said(memory.recall("user:1", "racing car", 1, now=9)) == [first]


def test_recall_after_the_first_takes_less_than_a_millisecond(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    words = [word for text in WORDS for word in text.split()]
    texts = [" ".join(rng.choice(words, 12)) for _ in range(200)]
    with ChromaMemory(EMBED, path=tmp_path) as memory:
        memory.remember([Memo("user:1", "evidence", text, step=at) for at, text in enumerate(texts)])
        memory.recall("user:1", "car", 5, now=0)
        took = []
        for at in range(200):
            begun = time.perf_counter()
            memory.recall("user:1", f"a {texts[at]}", 5, now=at)
            took.append(time.perf_counter() - begun)
    assert sorted(took)[len(took) // 2] < 1e-3


@pytest.mark.parametrize("importance", [-0.1, 1.1, float("nan")])
def test_an_importance_that_would_spoil_the_scores_is_refused(importance: float) -> None:
    with pytest.raises(DataError, match="importance"):
        Memo("user:1", "evidence", "racing car", importance=importance)
