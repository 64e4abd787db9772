"""What every memory must do: a new one's tests are a class that inherits `MemoryContract` and a fixture `memory`.

class TestMine(MemoryContract):
    @pytest.fixture
    def memory(self):
        return MyMemory(self.embed)
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from recloop.agents.memory import Archive, Embedder, Kind, ListMemory, Memo, RecallWeights, tfidf_svd

WORDS = ("racing car", "sailing boat", "garden tree", "chess board", "wooden train", "puzzle cube")
KINDS: tuple[Kind, ...] = ("profile", "claim", "reflection", "evidence", "semantics")


def said(memos: Sequence[Memo]) -> list[str]:
    return [memo.text for memo in memos]


class MemoryContract:
    """Give a fixture `memory`: an empty memory that embeds with `embed` and weighs with `weights`."""

    embed: Embedder = tfidf_svd(WORDS, size=16)
    weights = RecallWeights(similarity=1.0, recency=0.5, importance=0.5, half_life=10.0)

    def test_nothing_is_recalled_of_an_unknown_owner(self, memory: Archive) -> None:
        assert memory.recall("user:404", "boat", 5, now=0) == []
        assert memory.versions("user:404", "profile") == []
        assert memory.nearest("boat", 5) == []

    def test_a_memo_comes_back_with_every_field(self, memory: Archive) -> None:
        memo = Memo("item:7", "semantics", "a racing car", round=3, step=11, importance=0.25, source="item:7/round:3")
        memory.remember([memo])
        memory.flush()
        assert memory.recall("item:7", "car", 1, now=11) == [memo]

    def test_a_memo_tells_what_it_rests_on_and_which_of_several_it_is(self, memory: Archive) -> None:
        memos = [
            Memo("user:1", "claim", text, step=2, part=part, evidence=(f"item:{part}", "-item:a b"))
            for part, text in enumerate(WORDS[:3])
        ]
        memory.remember(memos)
        memory.flush()
        assert memory.versions("user:1", "claim") == memos
        assert memory.recall("user:1", "racing car", 1, now=2) == memos[:1]

    def test_what_has_faded_is_forgotten_however_alike_it_is(self, memory: Archive) -> None:
        # By hand at now = 20, half-life 10: .8 fades to .2, .4 to .1.
        memory.remember([Memo("user:1", "evidence", "racing car", round=1, importance=0.8)])
        memory.remember([Memo("user:1", "evidence", "racing car", round=2, importance=0.4)])
        memory.remember([Memo("user:1", "evidence", "garden tree", step=20, importance=0.15)])
        for below, kept in ((0.0, {1, 2, 0}), (0.12, {1, 0}), (0.21, set())):
            weights = RecallWeights(forget_below=below, half_life=10.0)
            recalled = memory.recall("user:1", "racing car", 9, now=20, weights=weights)
            assert {m.round for m in recalled} == kept
        assert len(memory.recall("user:1", "racing car", 9, now=20)) == 3

    def test_weights_of_the_asker_come_before_the_memorys_own(self, memory: Archive) -> None:
        memory.remember([Memo("user:1", "evidence", "racing car", step=0, importance=0.0)])
        memory.remember([Memo("user:1", "evidence", "garden tree", step=40, importance=1.0)])
        assert said(memory.recall("user:1", "racing car", 1, now=40)) == ["racing car"]
        dull = RecallWeights(similarity=0.0)
        assert said(memory.recall("user:1", "racing car", 1, now=40, weights=dull)) == ["garden tree"]

    def test_versions_of_a_later_step_come_after_all_rounds_of_an_earlier_one(self, memory: Archive) -> None:
        memory.remember([Memo("user:1", "profile", f"{s}/{r}", round=r, step=s) for s, r in ((1, 0), (0, 2), (0, 1))])
        assert said(memory.versions("user:1", "profile")) == ["0/1", "0/2", "1/0"]

    def test_similarity_decides_between_memos_of_equal_age_and_importance(self, memory: Archive) -> None:
        memory.remember([Memo("user:1", "evidence", text, round=at) for at, text in enumerate(WORDS)])
        for text in WORDS:
            assert said(memory.recall("user:1", text, 1, now=0)) == [text]

    def test_recency_decides_between_equal_texts(self, memory: Archive) -> None:
        memory.remember([Memo("user:1", "evidence", "racing car", step=step) for step in (5, 30, 0, 12)])
        assert [m.step for m in memory.recall("user:1", "racing car", 4, now=30)] == [30, 12, 5, 0]

    def test_importance_decides_between_equal_texts_of_one_age(self, memory: Archive) -> None:
        memory.remember(
            [Memo("user:1", "evidence", "racing car", round=r, importance=i) for r, i in enumerate((0.2, 0.9, 0.5))]
        )
        assert [m.importance for m in memory.recall("user:1", "racing car", 3, now=0)] == [0.9, 0.5, 0.2]

    @pytest.mark.parametrize(("importance", "first"), [(0.49, 10), (0.51, 0)])
    def test_the_terms_add_up_as_declared(self, memory: Archive, importance: float, first: int) -> None:
        # By hand at now = 10: the old one 1 + .5 * .5 + .5 * i, the new one 1 + .5 * 1 + 0; they meet at i = .5.
        memory.remember([Memo("user:1", "evidence", "racing car", step=0, importance=importance)])
        memory.remember([Memo("user:1", "evidence", "racing car", step=10, importance=0.0)])
        assert [m.step for m in memory.recall("user:1", "racing car", 1, now=10)] == [first]

    def test_a_similar_memo_stays_ahead_of_a_new_and_important_one(self, memory: Archive) -> None:
        # By hand at now = 40: 1 + .5 / 16 + 0 against 0 + .5 + .5, and without similarity .03 against 1.
        memory.remember([Memo("user:1", "evidence", "racing car", step=0, importance=0.0)])
        memory.remember([Memo("user:1", "evidence", "garden tree", step=40, importance=1.0)])
        assert said(memory.recall("user:1", "racing car", 2, now=40)) == ["racing car", "garden tree"]
        assert said(memory.recall("user:1", "tennis", 2, now=40)) == ["garden tree", "racing car"]

    def test_of_equals_the_later_step_and_then_the_later_round_comes_first(self, memory: Archive) -> None:
        memory.remember([Memo("user:1", "profile", "chess board", round=r, step=s) for r in (0, 1) for s in (4, 9)])
        recalled = memory.recall("user:1", "chess", 4, now=9)
        assert [(m.step, m.round) for m in recalled] == [(9, 1), (9, 0), (4, 1), (4, 0)]

    def test_a_memo_of_a_later_step_is_not_recalled(self, memory: Archive) -> None:
        memory.remember([Memo("user:1", "evidence", "chess board", step=s) for s in (3, 4, 5)])
        assert sorted(m.step for m in memory.recall("user:1", "chess", 9, now=4)) == [3, 4]

    def test_memos_of_one_step_from_two_tasks_are_two(self, memory: Archive) -> None:
        memory.remember([Memo("item:1", "semantics", f"a board for {u}", source=u) for u in ("user:1", "user:2")])
        assert len(memory.versions("item:1", "semantics")) == 2

    @pytest.mark.parametrize("flushed", [False, True])
    def test_another_owners_memo_is_never_recalled(self, memory: Archive, flushed: bool) -> None:
        memory.remember([Memo(f"user:{u}", "evidence", text, step=u) for u in range(12) for text in WORDS[u % 6 :]])
        memory.remember([Memo("user:1/2", "evidence", "racing car"), Memo("item:1", "evidence", "racing car")])
        if flushed:
            memory.flush()
        for owner in ("user:1", "user:11", "user:1/2", "item:1"):
            recalled = memory.recall(owner, "racing car", 100, now=12)
            assert recalled
            assert {m.owner for m in recalled} == {owner}

    @pytest.mark.parametrize("held", [False, True])
    @pytest.mark.parametrize("flushed", [False, True])
    def test_rewriting_a_memo_replaces_it(self, memory: Archive, flushed: bool, held: bool) -> None:
        memory.remember([Memo("user:1", "profile", "likes a racing car", round=2, step=5)])
        if held:
            memory.recall("user:1", "car", 1, now=5)
        if flushed:
            memory.flush()
        memory.remember([Memo("user:1", "profile", "likes a sailing boat", round=2, step=5)])
        assert said(memory.recall("user:1", "boat", 9, now=5)) == ["likes a sailing boat"]
        memory.flush()
        assert said(memory.versions("user:1", "profile")) == ["likes a sailing boat"]
        assert [hit.similarity for hit in memory.nearest("sailing boat", 9)] == pytest.approx([1.0], abs=1e-5)

    def test_a_buffered_memo_is_recalled_before_it_is_flushed(self, memory: Archive) -> None:
        memory.remember([Memo("user:1", "evidence", "racing car")])
        memory.flush()
        assert len(memory.recall("user:1", "car", 5, now=0)) == 1
        memory.remember([Memo("user:1", "evidence", "sailing boat", step=1)])
        assert said(memory.recall("user:1", "boat", 5, now=1)) == ["sailing boat", "racing car"]

    def test_recall_keeps_to_the_kinds_asked_for(self, memory: Archive) -> None:
        memory.remember([Memo("user:1", kind, "racing car") for kind in KINDS])
        assert {m.kind for m in memory.recall("user:1", "car", 9, now=0)} == set(KINDS)
        asked = memory.recall("user:1", "car", 9, now=0, kinds=("profile", "reflection"))
        assert {m.kind for m in asked} == {"profile", "reflection"}
        assert memory.recall("user:1", "car", 0, now=0) == []

    def test_versions_are_the_history_of_a_profile_oldest_first(self, memory: Archive) -> None:
        memory.remember([Memo("user:1", "profile", f"version {r}", round=r) for r in (2, 0, 1)])
        memory.remember([Memo("user:1", "reflection", "not a profile"), Memo("user:2", "profile", "not mine")])
        memory.flush()
        memory.remember([Memo("user:1", "profile", "version 3", round=3)])
        assert said(memory.versions("user:1", "profile")) == ["version 0", "version 1", "version 2", "version 3"]

    def test_nearest_looks_across_owners(self, memory: Archive) -> None:
        memory.remember([Memo(f"user:{at}", "profile", text) for at, text in enumerate(WORDS)])
        memory.remember([Memo("item:1", "semantics", "a sailing boat", round=1)])
        owners = [hit.memo.owner for hit in memory.nearest("sailing boat", 2)]
        assert sorted(owners) == ["item:1", "user:1"]
        assert [hit.memo.owner for hit in memory.nearest("sailing boat", 1, {"side": "user"})] == ["user:1"]
        hits = memory.nearest("sailing boat", 9, {"side": "item", "kind": "semantics", "round": 1})
        assert [hit.memo.owner for hit in hits] == ["item:1"]
        assert memory.nearest("sailing boat", 9, {"owner": "user:404"}) == []
        assert memory.nearest("tennis", 9) == []

    def test_an_empty_text_and_an_unknown_word_are_kept(self, memory: Archive) -> None:
        memory.remember([Memo("user:1", "evidence", text, step=at) for at, text in enumerate(("", "tennis", "car"))])
        memory.flush()
        assert said(memory.recall("user:1", "", 9, now=2)) == ["car", "tennis", ""]

    @pytest.mark.parametrize("text", ["half a pair \ud83d", "nul \x00 inside", "naïve café 模型 🎲", "a\r\nb\tc"])
    def test_no_text_of_a_model_breaks_it(self, memory: Archive, text: str) -> None:
        memory.remember([Memo("user:1", "evidence", text)])
        memory.flush()
        [memo] = memory.recall("user:1", "car", 1, now=0)
        assert memo.text == text.encode("utf-8", "replace").decode()

    def test_numbers_of_numpy_are_taken(self, memory: Archive) -> None:
        step, importance = np.int64(4), np.float32(0.5)
        memory.remember([Memo("user:1", "evidence", "car", step=step, importance=importance)])  # type: ignore[arg-type]
        memory.remember([Memo("user:1", "evidence", "boat", step=4)])
        memory.flush()
        assert said(memory.recall("user:1", "boat", 9, now=4)) == ["boat"]

    def test_it_recalls_what_the_exact_memory_recalls(self, memory: Archive) -> None:
        rng = np.random.default_rng(7)
        exact = ListMemory(self.embed, weights=self.weights)
        for _ in range(60):
            owner = f"user:{rng.integers(4)}"
            memo = Memo(
                owner,
                KINDS[rng.integers(len(KINDS))],
                " ".join(rng.choice([word for text in WORDS for word in text.split()], 3)),
                round=int(rng.integers(3)),
                step=int(rng.integers(20)),
                importance=float(rng.random()),
            )
            memory.remember([memo])
            exact.remember([memo])
            if rng.random() < 0.2:
                memory.flush()
            about = str(rng.choice(WORDS))
            now = int(rng.integers(25))
            assert memory.recall(owner, about, 5, now=now) == exact.recall(owner, about, 5, now=now)

    def test_threads_share_it(self, memory: Archive) -> None:
        def live(user: int) -> int:
            for step in range(25):
                memory.remember([Memo(f"user:{user}", "evidence", WORDS[step % 6], step=step)])
                assert memory.recall(f"user:{user}", WORDS[step % 6], 1, now=step)[0].step == step
            return len(memory.versions(f"user:{user}", "evidence"))

        with ThreadPoolExecutor(4) as pool:
            assert list(pool.map(live, range(8))) == [25] * 8

    def test_closing_twice_is_harmless(self, memory: Archive) -> None:
        memory.remember([Memo("user:1", "evidence", "racing car")])
        memory.close()
        memory.close()
