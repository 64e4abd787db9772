"""Handles and the schemas made of them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError
from recloop.agents.chat.handles import handles_for, judgement_reply, ranking_reply
from recloop.agents.chat.schemas import strict_schema


def test_handles_go_on_after_z() -> None:
    assert handles_for(28)[:3] == ("A", "B", "C")
    assert handles_for(28)[25:] == ("Z", "AA", "AB")


@given(st.integers(min_value=1, max_value=800))
def test_handles_are_all_different(count: int) -> None:
    assert len(set(handles_for(count))) == count


@given(st.permutations(handles_for(5)))
def test_every_order_of_all_handles_is_a_ranking(order: list[str]) -> None:
    reply = {"reason": "", "ranking": [{"item": name, "score": 1 - at / 5} for at, name in enumerate(order)]}
    parsed = ranking_reply(handles_for(5)).model_validate_json(json.dumps(reply))
    assert [entry.item for entry in parsed.ranking] == order


@given(st.lists(st.sampled_from([*handles_for(3), "D", "a", ""]), max_size=5))
def test_anything_but_each_handle_once_is_refused(names: list[str]) -> None:
    reply = json.dumps({"reason": "", "ranking": [{"item": name, "score": 0.5} for name in names]})
    if sorted(names) == ["A", "B", "C"]:
        ranking_reply(handles_for(3)).model_validate_json(reply)
    else:
        with pytest.raises(ValidationError):
            ranking_reply(handles_for(3)).model_validate_json(reply)


@pytest.mark.parametrize("score", ["-0.1", "1.01", "NaN", "null", '"high"'])
def test_a_score_outside_0_to_1_is_refused(score: str) -> None:
    with pytest.raises(ValidationError):
        ranking_reply(("A",)).model_validate_json(f'{{"reason": "", "ranking": [{{"item": "A", "score": {score}}}]}}')


def test_a_judgement_is_yes_or_no_for_every_item() -> None:
    reply = judgement_reply(handles_for(2))
    given = [{"item": "B", "answer": "no", "confidence": 0.9}, {"item": "A", "answer": "yes", "confidence": 0.1}]
    parsed = reply.model_validate_json(json.dumps({"reason": "", "judgements": given}))
    assert {entry.item: entry.answer for entry in parsed.judgements} == {"A": "yes", "B": "no"}
    given[0]["answer"] = "maybe"
    with pytest.raises(ValidationError):
        reply.model_validate_json(json.dumps({"reason": "", "judgements": given}))


def test_one_class_serves_all_requests_of_a_size() -> None:
    assert ranking_reply(handles_for(4)) is ranking_reply(handles_for(4))


class Inner(BaseModel):
    title: str = Field(description="A field that is called like a keyword.")
    default: float | None = None


class Outer(BaseModel):
    inner: Inner = Field(description="Beside a reference.")
    many: list[Inner] = []


@pytest.mark.parametrize("reply", [Outer, ranking_reply(handles_for(3)), judgement_reply(handles_for(30))])
def test_a_schema_is_what_strict_servers_accept(reply: type[BaseModel]) -> None:
    def check(node: object) -> None:
        if isinstance(node, list):
            for child in node:
                check(child)
        if isinstance(node, dict):
            if node.get("type") == "object":
                assert node["additionalProperties"] is False
                assert node["required"] == list(node["properties"])
            if "$ref" in node:
                assert list(node) == ["$ref"]
            for name, child in node.items():
                if name not in ("properties", "$defs"):
                    assert name not in ("default", "title", "oneOf", "const")
                    check(child)
                else:
                    for part in child.values():
                        check(part)

    check(strict_schema(reply))


def test_a_field_named_like_a_keyword_stays() -> None:
    assert set(strict_schema(Outer)["$defs"]["Inner"]["properties"]) == {"title", "default"}
