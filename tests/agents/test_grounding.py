"""Grounding: an exact or near title becomes its item; an invented one becomes nothing."""

from __future__ import annotations

import pytest
from recloop.agents.grounding import Grounder, Grounding, normal, numbers
from recloop.agents.memory import tfidf_svd

TITLES = {
    3: "The Legend of the Amber Lake",
    5: "Final Quest VII",
    6: "Final Quest VIII",
    8: "Harbour Patrol (1995)",
    9: "Garden Planner Deluxe Edition",
    11: "Twin Moons",
    12: "Twin Moons",
}


@pytest.fixture(scope="module")
def ground() -> Grounder:
    return Grounder(TITLES, embed=tfidf_svd(list(TITLES.values()), size=16))


@pytest.mark.parametrize(
    ("title", "item", "how"),
    [
        ("The Legend of the Amber Lake", 3, "exact"),
        ("legend of the amber lake, the", 3, "fuzzy"),
        ("Legend of the Amber Lake, The", 3, "exact"),
        ("  THE LEGEND OF THE AMBER LAKE! ", 3, "exact"),
        ("Harbour Patrol", 8, "exact"),
        ("Harbor Patrol (1995)", 8, "fuzzy"),
        ("The Legend of Amber Lake", 3, "fuzzy"),
        ("Final Quest VII", 5, "exact"),
    ],
)
def test_a_near_title_becomes_its_item(ground: Grounder, title: str, item: int, how: str) -> None:
    match = ground(title)
    assert match.item == item
    assert match.how in (how, "exact")


@pytest.mark.parametrize(
    ("title", "how"),
    [
        ("Final Quest IX", "ambiguous"),
        ("Final Quest VI", "ambiguous"),
        ("Twin Moons", "ambiguous"),
        ("Castle of Winds", "unmatched"),
        ("The Legend of the Silver Crown", "unmatched"),
        ("", "unmatched"),
        ("!!!", "unmatched"),
    ],
)
def test_a_title_of_no_item_or_of_two_becomes_nothing(ground: Grounder, title: str, how: str) -> None:
    match = ground(title)
    assert match.item is None
    assert match.how in (how, "unmatched")


def test_words_in_another_order_are_found(ground: Grounder) -> None:
    assert ground("Deluxe Garden Planner Edition").item == 9


def test_the_embedding_needs_a_margin_to_the_second() -> None:
    titles = {0: "amber lake story", 1: "story amber lake"}
    embed = tfidf_svd(list(titles.values()), size=8)
    told = {"fuzzy": 100, "fuzzy_margin": 0, "embedding": 0.2}
    assert Grounder(titles, Grounding(**told, embedding_margin=0.1), embed)("amber story").how == "unmatched"
    assert Grounder(titles, Grounding(**told, embedding_margin=0.1, words=0.5), embed)("amber story").how == "ambiguous"
    assert Grounder(titles, Grounding(**told, embedding_margin=0, words=0.5), embed)("amber story").how == "embedding"


def test_a_word_that_the_embedder_has_never_met_is_not_ignored(ground: Grounder) -> None:
    assert ground("Castle of Winds").item is None
    assert ground("Garden Dungeon Edition").item is None


def test_without_an_embedder_nothing_is_matched_by_meaning() -> None:
    assert Grounder(TITLES, Grounding(embedding=0, embedding_margin=0))("Patrol of a harbour").item is None


def test_equal_catalogues_are_equal_grounders() -> None:
    assert Grounder(TITLES) == Grounder(dict(reversed(TITLES.items())))
    assert Grounder(TITLES) != Grounder({**TITLES, 3: "Another"})
    assert Grounder(TITLES) != Grounder(TITLES, Grounding(fuzzy=80))


def test_normal_forms_and_numbers() -> None:
    assert normal("Pok\u00e9mon: Tom & Jerry's Trip") == "pokemon tom and jerrys trip"
    assert normal("Matrix, The") == "the matrix"
    assert numbers("final quest viii part 2") == (8, 2)
    assert numbers("vivid mix") == ()
