"""A constrained answer is a title of the catalogue, whatever the titles, the prompt and the weights are."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from recloop.agents.chat.likelihood import ScoringRequest
from recloop.agents.chat.local.decoding import greedy
from recloop.agents.chat.local.model import LocalModel
from recloop.agents.chat.local.naming import Catalogue
from recloop.agents.chat.local.scoring import score
from recloop.agents.chat.local.trie import TokenTrie
from recloop.errors import ConfigError, DataError

from tests.agents.small_lm import small_world

TITLES = small_world().dataset.items["title"].tolist()
LETTERS = st.text(
    st.characters(codec="utf-8", exclude_characters="\n", exclude_categories=("Cs",)), min_size=1, max_size=12
)
WORDS = st.lists(st.sampled_from(["Kite", "kite", "Red", "No.", "7", "K", "ite", "«", "木"]), min_size=1, max_size=3)
TITLE = st.one_of(LETTERS, WORDS.map(" ".join), WORDS.map("".join))


def named(catalogue: Catalogue, prompt: str, begun: str = "", without: tuple[str, ...] = ()):
    return asyncio.run(catalogue.name(prompt, begun, without=without))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    titles=st.lists(TITLE, min_size=1, max_size=6),
    prompt=st.one_of(LETTERS, st.just("A kite.\nAnswer: ")),
    begun=st.sampled_from(["", "\n", 'The noise is "', "K"]),
    gone=st.data(),
)
def test_only_titles_of_the_catalogue_come_out(plain: LocalModel, titles, prompt, begun, gone) -> None:
    catalogue = Catalogue(plain, titles)
    without = tuple(gone.draw(st.lists(st.sampled_from(titles), max_size=len(titles))))
    found = named(catalogue, prompt, begun, without)
    left = [title for title in titles if title not in without]
    if not left:
        assert found is None
        return
    assert found is not None
    assert found.title in left
    assert titles.index(found.title) == found.item
    assert found.logprob <= 0


def test_what_is_named_has_the_log_probability_that_scoring_gives_it(plain: LocalModel) -> None:
    catalogue = Catalogue(plain, TITLES)
    for prompt in ("A kite.\nAnswer:\n", "A box of nails.\nAnswer:\n"):
        found = named(catalogue, prompt)
        ((one,),) = score(plain, [ScoringRequest(prompt, (f"{found.title}\n",))])
        assert found.logprob == pytest.approx(one.total, abs=1e-4)


def test_each_step_takes_the_likeliest_token_that_leads_to_a_title(plain: LocalModel) -> None:
    prompt = "A kite.\nAnswer:\n"
    rows = [plain.tokenizer(f"{prompt}{title}\n")["input_ids"] for title in TITLES]
    beginning = plain.tokenizer(prompt)["input_ids"]
    kept = rows
    for at in range(len(beginning), max(map(len, rows))):
        nexts = sorted({row[at] for row in kept})
        texts = plain.tokenizer.convert_ids_to_tokens(nexts)
        asked = [plain.tokenizer.convert_tokens_to_string([text]) for text in texts]
        if len(nexts) > 1:
            shown = plain.tokenizer.decode(kept[0][1:at], skip_special_tokens=False)
            (scored,) = score(plain, [ScoringRequest(shown, tuple(asked))])
            best = max(scored, key=lambda one: one.first)
            nexts = [nexts[scored.index(best)]]
        kept = [row for row in kept if row[at] == nexts[0]]
        if len(kept) == 1:
            break
    assert named(Catalogue(plain, TITLES), prompt).item == rows.index(kept[0])


def test_a_title_that_begins_another_can_be_named(plain: LocalModel) -> None:
    pair = ["Carcassonne", "Carcassonne The Castle"]
    for only in pair:
        other = next(title for title in pair if title != only)
        assert named(Catalogue(plain, pair), "Name a game.\n", without=(other,)).title == only


def test_a_title_that_holds_what_ends_it_is_refused(plain: LocalModel) -> None:
    with pytest.raises(ConfigError, match="take another `end`"):
        Catalogue(plain, ["two\nlines"])
    with pytest.raises(ConfigError, match="none of them empty"):
        Catalogue(plain, [])


def test_a_prompt_without_room_for_a_title_is_refused(plain: LocalModel) -> None:
    with pytest.raises(DataError, match="shorten the prompt"):
        named(Catalogue(plain, TITLES), "kite " * 254 + "\n")


def test_a_trie_leaves_out_what_is_taken_from_it() -> None:
    trie = TokenTrie([(1, 2), (1, 2, 3), (4,), (1, 2)])
    everything, some, none = trie.without([]), trie.without([1, 2, 99]), trie.without([0, 1, 2])
    one = everything.root.children[1].children[2]
    assert (set(everything.next(everything.root)), set(everything.next(one)), everything.ending(one)) == (
        {1, 4},
        {3},
        0,
    )
    assert (set(some.next(some.root)), set(some.next(one)), some.ending(one)) == ({1}, set(), 0)
    assert trie.without([0]).ending(one) is None
    assert none.empty()
    assert not some.empty()
    with pytest.raises(ValueError, match="empty"):
        TokenTrie([()])


def test_among_equals_the_lowest_token_is_taken() -> None:
    import torch

    assert greedy(torch.tensor([-math.inf, -1.0, -1.0])) == 1
