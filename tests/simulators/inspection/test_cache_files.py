"""`cache prune` and `cache export`: paid replies and the user's files are not lost by a slip."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest
from recloop.agents.chat.question import digest, parts_of
from recloop.agents.chat.replies import Replies
from recloop.agents.chat.types import Message, Reply, Request
from recloop.cli.app import app, guarded
from recloop.errors import ConfigError, RunError
from recloop.simulators.inspection.cache import cache_export, cache_prune, cache_stats

from tests.full_disk import full_disk


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A folder whose cache holds 50 replies, made just now."""

    async def fill() -> None:
        with Replies(tmp_path / "replies.sqlite") as replies:
            for number in range(50):
                parts = parts_of(Request((Message("user", f"question {number}"),)), endpoint="here", model="m")
                await replies.put(digest(parts), parts, Reply(str(number) * 10_000, model="m"))

    asyncio.run(fill())
    return tmp_path


def entries(cache: Path) -> int:
    return int(cache_stats(cache)["entries"])


@pytest.mark.parametrize("days", [-1, -1e-9, math.nan])
def test_a_negative_age_deletes_nothing(days: float, cache: Path) -> None:
    with pytest.raises(ConfigError, match="write 0 or more days"):
        cache_prune(cache, older_than_days=days, yes=True)
    assert entries(cache) == 50


def test_without_yes_prune_only_counts(cache: Path) -> None:
    outcome = cache_prune(cache, older_than_days=0)
    assert (outcome["matching"], outcome["entries"], outcome["deleted"]) == (50, 50, 0)
    assert entries(cache) == 50
    assert cache_prune(cache, older_than_days=0, yes=True)["deleted"] == 50
    assert entries(cache) == 0


def test_the_command_needs_yes_where_it_cannot_ask(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["cache", "prune", "--out", str(cache), "--model", "m"]

    def call(*more: str) -> int:
        return guarded(lambda: app([*words, *more], standalone_mode=False))

    assert call() == 2
    assert "Say --yes" in capsys.readouterr().err
    assert call("--dry") == 0
    assert "50 of 50 replies" in capsys.readouterr().out
    assert entries(cache) == 50
    assert call("--yes") == 0
    assert "50 replies deleted" in capsys.readouterr().out
    assert entries(cache) == 0


def test_an_export_replaces_no_file_unasked(cache: Path) -> None:
    file = cache / "keep.txt"
    file.write_text("precious")
    with pytest.raises(ConfigError, match=r"keep\.txt exists already"):
        cache_export(cache, file)
    assert file.read_text() == "precious"
    assert cache_export(cache, file, overwrite=True)["entries"] == 50


def test_an_export_onto_a_full_disk_leaves_no_cut_file(cache: Path) -> None:
    with full_disk(after=200_000), pytest.raises(RunError, match="cannot be written"):
        cache_export(cache, cache / "replay.jsonl")
    assert not [path.name for path in cache.iterdir() if "replay" in path.name]
