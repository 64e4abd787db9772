"""Batched scores with a cache are those of reading token by token, and are looked up in the right places."""

from __future__ import annotations

import math

import pytest
import torch
from recloop.agents.chat.likelihood import ScoringRequest, yes_or_no, yes_share
from recloop.agents.chat.local.encoding import encoded, opened
from recloop.agents.chat.local.model import LocalModel
from recloop.agents.chat.local.scoring import local_likelihood, score
from recloop.agents.chat.types import Message
from recloop.errors import DataError

from tests.agents.small_lm import small_world

TITLES = small_world().dataset.items["title"].tolist()
MESSAGES = (Message("system", "You judge."), Message("user", "Which of these does not belong?"))


def naive(model: LocalModel, question: ScoringRequest) -> list[list[float]]:
    """One pass a token, nothing kept between them: what every faster way must give."""
    beginning, special = opened(model, question.prompt)
    beginning += question.begun
    found = []
    for continuation in question.continuations:
        told = model.tokenizer(beginning + continuation, add_special_tokens=special, return_offsets_mapping=True)
        ids = told["input_ids"]
        counted = [at for at, (_, end) in enumerate(told["offset_mapping"]) if end > len(beginning)]
        with torch.no_grad():
            passes = [model.network(input_ids=torch.tensor([ids[:at]])).logits[0, -1] for at in counted]
        found.append([float(torch.log_softmax(out, -1)[ids[at]]) for out, at in zip(passes, counted, strict=True)])
    return found


def questions() -> list[ScoringRequest]:
    """Windows of different lengths, with continuations of different lengths and numbers."""
    windows = [TITLES[at : at + size] for at, size in ((0, 3), (20, 11), (40, 1), (60, 6))]
    return [ScoringRequest("\n".join(window) + "\n", tuple(f"{title}\n" for title in window)) for window in windows]


@pytest.mark.parametrize("tokens", [16_384, 300, 1])
@pytest.mark.parametrize("name", ["plain", "chatty"])
def test_scores_are_those_of_reading_token_by_token(name: str, tokens: int, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(name)
    asked = [
        *questions(),
        ScoringRequest(MESSAGES, ("Kite", "a whole sentence, with a comma\n", "K"), begun='The noise is "'),
        ScoringRequest("Kit", ("e", "es fly", "chen"), begun=""),
    ]
    for question, scored in zip(asked, score(model, asked, tokens=tokens), strict=True):
        assert [one.text for one in scored] == list(question.continuations)
        for by_token, one in zip(naive(model, question), scored, strict=True):
            assert one.logprobs == pytest.approx(by_token, abs=1e-5)
            assert len(one.tokens) == len(one.logprobs) > 0


async def test_a_score_does_not_depend_on_what_else_is_asked(plain: LocalModel) -> None:
    likelihood = local_likelihood(plain)
    together = await likelihood(questions())
    for question, scored in zip(questions(), together, strict=True):
        (alone,) = await likelihood([question])
        for one, other in zip(alone, scored, strict=True):
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-5)
    assert await likelihood(questions()) == together


def test_titles_are_tokenised_in_the_context_they_follow(plain: LocalModel) -> None:
    [alone] = plain.tokenizer(["Kite"], add_special_tokens=False)["input_ids"]
    row = encoded(plain, ScoringRequest("A red", (" Kite", " Kites")))
    for rest, text in zip(row.rests, ("A red Kite", "A red Kites"), strict=True):
        assert [*row.shared, *rest] == plain.tokenizer(text)["input_ids"]
    assert list(row.rests[0]) != alone


def test_a_token_across_the_border_counts_for_the_continuation(plain: LocalModel) -> None:
    def parted(word: str) -> bool:
        short, whole = plain.tokenizer([word[:-1], word], add_special_tokens=False)["input_ids"]
        return whole[: len(short)] != short

    word = next(word for title in TITLES for word in title.split() if parted(word))
    ((one,),) = score(plain, [ScoringRequest(f"\n{word[:-1]}", (word[-1],))])
    assert len(one.tokens) == 1
    assert one.tokens[0].endswith(word[-1])
    assert one.tokens[0] != word[-1]


def test_messages_go_through_the_models_own_template(chatty: LocalModel, plain: LocalModel) -> None:
    text, special = opened(chatty, MESSAGES)
    assert (text.endswith("<s>assistant\n"), special) == (True, False)
    text, special = opened(plain, MESSAGES)
    assert (text, special) == ("You judge.\n\nWhich of these does not belong?\n\nAnswer:\n", True)


def test_the_probabilities_of_all_first_tokens_sum_to_one(plain: LocalModel) -> None:
    ids = range(3, len(plain.tokenizer))
    singles = [
        text for text in (plain.tokenizer.decode([i]) for i in ids)
        if len(plain.tokenizer(f"\n{text}", add_special_tokens=False)["input_ids"]) == 2 and "\ufffd" not in text
    ]  # fmt: skip
    ((*scored,),) = score(plain, [ScoringRequest("A kite.\n", tuple(dict.fromkeys(singles)))])
    mass = sum(math.exp(one.total) for one in scored if len(one.logprobs) == 1)
    assert 0.3 < mass <= 1 + 1e-5


def test_yes_and_no_are_weighed_against_each_other(plain: LocalModel) -> None:
    ((yes, no),) = score(plain, [yes_or_no("Is it a kite?\n")])
    share = yes_share((yes, no))
    assert share == pytest.approx(math.exp(yes.total) / (math.exp(yes.total) + math.exp(no.total)))
    assert (yes.text, no.text) == ("Yes", "No")
    assert yes_or_no("Is it?").continuations == (" Yes", " No")


def test_a_text_longer_than_the_model_is_refused(plain: LocalModel) -> None:
    with pytest.raises(DataError, match=r"has \d+ tokens, plain-\w+ takes 512: shorten the prompt"):
        score(plain, [ScoringRequest("kite " * 600, ("Kite",))])


def test_nothing_asked_is_nothing_scored(plain: LocalModel) -> None:
    assert score(plain, []) == []
    assert score(plain, [ScoringRequest("A kite.", ())]) == [()]
    ((empty, some),) = score(plain, [ScoringRequest("A kite.", ("", " flies"))])
    assert (empty.logprobs, empty.total) == ((), 0.0)
    assert math.isnan(empty.per_token)
    assert some.logprobs


def test_without_a_prompt_the_text_begins_with_the_models_start(plain: LocalModel) -> None:
    ((one,),) = score(plain, [ScoringRequest("", ("Kite",))])
    ids = plain.tokenizer("Kite")["input_ids"]
    with torch.no_grad():
        out = plain.network(input_ids=torch.tensor([ids[:1]])).logits[0, -1]
    assert one.first == pytest.approx(float(torch.log_softmax(out, -1)[ids[1]]), abs=1e-5)
