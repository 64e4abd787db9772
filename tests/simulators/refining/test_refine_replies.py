"""What `refine` makes of replies that are unusable, missing, or of a prompt or catalogue that has changed."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from recloop.agents.catalogue import NO_TEXTS
from recloop.agents.chat.types import Chat, Reply, Request
from recloop.cli.app import app, guarded
from recloop.errors import ModelUnavailable, ReplyInvalid
from recloop.simulators.refining.refine import Refined, refine
from recloop.simulators.studies import agent_runner

from tests.simulators.refining.logs import log_at
from tests.simulators.refining.test_denoise import toys_at

DENOISE = "steps=[{denoise: {threshold: 0.5, guards: {cold: 0, recent: 0, budget: 0.5}}}]"
TWO = "steps=[{denoise: {threshold: 0.5, guards: {cold: 0, recent: 0, budget: 0.5}}}, {denoise: {threshold: 0.9}}]"


@pytest.fixture
def through(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[int, Request], Exception | None]], list[int]]:
    """Put a fault before the study's model: it is given the number of each call, and may name an error to raise."""

    def install(fault: Callable[[int, Request], Exception | None]) -> list[int]:
        calls: list[int] = []
        whole = agent_runner.chat_of

        def faulty(*given: object) -> Chat:
            chat = whole(*given)  # type: ignore[arg-type]

            async def call(request: Request) -> Reply:
                calls.append(len(calls))
                error = fault(len(calls), request)
                if error is not None:
                    raise error
                return await chat(request)

            return call

        monkeypatch.setattr(agent_runner, "chat_of", faulty)
        return calls

    return install


def logged(folder: Path, steps: str) -> tuple[Path, list[str]]:
    path, settings = toys_at(folder)
    return path, [*settings, steps, "llm.concurrency=1"]


def unusable(call: int, request: Request) -> Exception:
    return ReplyInvalid("no JSON in 'The third one does not fit.'")


def test_when_no_reply_is_usable_no_log_is_written_and_the_rest_is_not_asked(
    tmp_path: Path, through: Callable[..., list[int]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, settings = logged(tmp_path, DENOISE)
    users = pd.read_csv(path)["user_id"].nunique()
    calls = through(unusable)
    out = tmp_path / "out.csv"
    words = ["refine", str(path), str(out), *(word for setting in settings for word in ("--set", setting))]
    assert guarded(lambda: app(words, standalone_mode=False)) == 1
    said = capsys.readouterr().err
    assert "had a usable reply" in said
    assert "The third one does not fit" in said
    assert "No log was written" in said
    assert not out.exists()
    assert len(calls) < users, "the run stops early"


def test_when_few_tasks_fail_all_without_a_reply_no_log_is_written(
    tmp_path: Path, through: Callable[..., list[int]]
) -> None:
    path, settings = logged(tmp_path, "steps=[{denoise: {users: 3}}]")
    through(lambda call, request: ModelUnavailable("the server is away"))
    done = refine(path, tmp_path / "out.csv", settings=settings)
    assert not done.complete
    assert "no reply was usable (0 invalid, 3 failed of 3 tasks" in done.stopped
    assert "the server is away" in done.stopped
    assert not (tmp_path / "out.csv").exists()


def test_some_unusable_replies_are_a_warning_with_the_commonest_error(
    tmp_path: Path, through: Callable[..., list[int]]
) -> None:
    path, settings = logged(tmp_path, DENOISE)
    through(lambda call, request: unusable(call, request) if call <= 4 else None)
    done = refine(path, tmp_path / "out.csv", settings=settings)
    assert done.complete
    [warning] = done.warnings
    assert warning.startswith("0-denoise: ")
    assert "4 invalid, 0 failed of" in warning
    assert "commonest, 4 times: schema: no JSON" in warning
    [summary] = done.summaries.values()
    assert (summary.errors, summary.error[:15]) == (4, "schema: no JSON")


@pytest.mark.parametrize("block", ["block_mb=64", "block_mb=0.002"])
def test_failed_tasks_that_are_asked_again_change_the_log_to_what_it_would_have_been(
    block: str, tmp_path: Path, through: Callable[..., list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, settings = logged(tmp_path, TWO)
    settings.append(block)
    whole = refine(path, tmp_path / "whole.csv", settings=settings)
    assert whole.rows["removed"] > 20

    def redone(**options: bool) -> Refined:
        return refine(path, tmp_path / "out.csv", settings=settings, **options)

    through(lambda call, request: ModelUnavailable("away") if call % 3 == 0 else None)
    first = redone()
    assert not first.complete
    assert first.rows["removed"] < whole.rows["removed"]
    monkeypatch.undo()
    assert redone().rows == first.rows, "failed tasks are asked again on request only"
    again = redone(retry_failed=True)
    assert again.complete
    assert Path(again.out).read_bytes() == Path(whole.out).read_bytes()
    assert again.reports == whole.reports


def test_a_step_that_finds_nobody_to_ask_about_says_so(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    pd.DataFrame({"user_id": [f"u{n}" for n in range(9)], "item_id": [f"i{n % 3}" for n in range(9)]}).to_csv(
        path, index=False
    )
    items = tmp_path / "items.csv"
    items.write_text("item_id,title\ni0,red kite\ni1,blue kite\ni2,green kite\n")
    done = refine(path, tmp_path / "out.csv", settings=["steps=[denoise]", f"data.items={items}"])
    assert done.complete
    [warning] = done.warnings
    assert warning.startswith("0-denoise: 0 tasks, nothing changed: no user has ")
    assert warning.endswith("the longest history has 1 row(s)")


@pytest.mark.parametrize("step", ["denoise", "generate", "discriminate"])
def test_a_log_without_texts_is_not_judged_by_words(tmp_path: Path, step: str) -> None:
    random.seed(0)
    rows = [(f"u{u}", f"i{i}", t) for u in range(40) for t, i in enumerate(random.sample(range(30), 10))]
    pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]).to_csv(tmp_path / "log.csv", index=False)
    done = refine(tmp_path / "log.csv", tmp_path / "out.csv", settings=[f"steps=[{step}]", "provenance=false"])
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "log.csv").read_bytes()
    assert done.warnings == (f"0-{step}: 0 tasks, nothing changed: {NO_TEXTS}",)


def test_items_without_a_title_are_never_judged_by_words(tmp_path: Path) -> None:
    random.seed(0)
    rows = [(f"u{u}", f"i{i}", t) for u in range(40) for t, i in enumerate(random.sample(range(30), 10))]
    pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]).to_csv(tmp_path / "log.csv", index=False)
    titles = [f"red kite {n}" if n < 20 else "" for n in range(29)] + ["grey cement bucket"]
    items = tmp_path / "items.csv"
    pd.DataFrame({"item_id": [f"i{n}" for n in range(30)], "title": titles}).to_csv(items, index=False)
    done = refine(tmp_path / "log.csv", tmp_path / "out.csv", settings=["steps=[denoise]", f"data.items={items}"])
    left = pd.read_csv(tmp_path / "out.csv")["item_id"].value_counts()
    was = pd.read_csv(tmp_path / "log.csv")["item_id"].value_counts()
    assert all(left[f"i{n}"] == was[f"i{n}"] for n in range(20, 29))
    assert done.reports["0-denoise"]["judged"] == sum(was[f"i{n}"] for n in [*range(20), 29])
    assert left["i29"] < was["i29"]


def test_another_wording_is_asked_anew(tmp_path: Path) -> None:
    path, settings = log_at(tmp_path, "log.csv")
    few = [*settings, "steps=[{generate: {users: 4, slate_size: 8}}]"]
    first = refine(path, tmp_path / "out.csv", settings=few)
    folder = tmp_path / "wordings" / "generate"
    folder.mkdir(parents=True)
    shipped = Path(agent_runner.__file__).parents[2] / "prompts" / "generate" / "next_item.md"
    (folder / "next_item.md").write_text(shipped.read_text() + "\nThink twice.\n")
    again = refine(path, tmp_path / "out.csv", settings=[*few, f"prompts={folder.parent}"])
    assert [summary.resumed for summary in again.summaries.values()] == [0]
    assert [summary.paid for summary in again.summaries.values()] == [s.calls for s in first.summaries.values()]


def test_other_titles_in_the_table_of_items_are_asked_anew(tmp_path: Path) -> None:
    path, settings = log_at(tmp_path, "log.csv")
    few = [*settings, "steps=[{generate: {users: 4, slate_size: 8}}]"]
    refine(path, tmp_path / "out.csv", settings=few)
    items = pd.read_csv(tmp_path / "items.csv")
    items.assign(title=items["title"].to_numpy()[::-1]).to_csv(tmp_path / "items.csv", index=False)
    again = refine(path, tmp_path / "out.csv", settings=few)
    afresh = refine(path, tmp_path / "afresh.csv", settings=few)
    assert [summary.resumed for summary in again.summaries.values()] == [0]
    assert Path(again.out).read_bytes() == Path(afresh.out).read_bytes()


@pytest.mark.parametrize("mode", ["next_item", "pairs", "cold_item"])
def test_a_log_of_one_user_who_had_every_item_has_nothing_to_generate(mode: str, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    pd.DataFrame({"user_id": "u0", "item_id": [f"i{n}" for n in range(10)], "timestamp": range(10)}).to_csv(
        path, index=False
    )
    steps = f"steps=[{{generate: {{mode: {mode}}}}}, discriminate]"
    done = refine(path, tmp_path / "out.csv", settings=[steps])
    assert done.complete
    assert done.rows["written"] == 10
    if mode != "cold_item":
        assert done.warnings[0].startswith("0-generate: 0 tasks")
