"""What results depend on: every setting that is not transport, contents of files and not their paths, and the code."""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
from pathlib import Path
from typing import Any

import pytest
import recloop
from pydantic import BaseModel
from recloop import identity
from recloop.agents.chat.build import ASKED_IN_THE_REQUEST, asked_of
from recloop.agents.chat.config import LLMConfig
from recloop.agents.chat.meter import Budget
from recloop.agents.memory.embeddings import EmbedderConfig
from recloop.errors import ConfigError
from recloop.identity import code_digest, contents_digest, digest, is_transport, settings_of
from recloop.recsys.data.data_config import DataConfig
from recloop.recsys.models.table import MODELS, model_class
from recloop.recsys.models.train_config import TrainConfig
from recloop.simulators.refining.config import RefineConfig
from recloop.simulators.studies.fidelity_config import FidelityConfig
from recloop.simulators.studies.steps import AGENTS
from recloop.simulators.studies.study import BatchConfig, EvaluateConfig, MemoryConfig

SETTINGS: list[type[BaseModel]] = [
    LLMConfig,
    EmbedderConfig,
    MemoryConfig,
    BatchConfig,
    EvaluateConfig,
    TrainConfig,
    FidelityConfig,
    RefineConfig,
    DataConfig,
    *(step.settings for step in AGENTS.values()),
    *dict.fromkeys(model_class(name).Config for name in MODELS),
]


def another(value: Any) -> Any:
    """A value other than `value`; `model_copy` checks nothing, so any will do."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, BaseModel):
        kind = type(value)
        name = next(name for name in kind.model_fields if not is_transport(kind, name))
        return value.model_copy(update={name: another(getattr(value, name))})
    if isinstance(value, tuple | list):
        return (*value, "one more")
    if isinstance(value, dict):
        return {**value, "one": "more"}
    return "something"


@pytest.mark.parametrize("kind", SETTINGS, ids=lambda kind: kind.__name__)
def test_every_setting_counts_unless_it_is_marked_as_transport(kind):
    plain = kind.model_construct()
    for name, field in kind.model_fields.items():
        if field.is_required():
            continue
        changed = plain.model_copy(update={name: another(getattr(plain, name))})
        assert (settings_of(changed) == settings_of(plain)) == is_transport(kind, name), name


def test_transport_is_what_changes_no_result():
    marked = {name for name in LLMConfig.model_fields if is_transport(LLMConfig, name)}
    assert {"concurrency", "rpm", "tpm", "timeout", "attempts", "patience", "budget", "prices"} <= marked
    counts = (
        "provider model adapter replay base_url temperature top_p max_tokens seed structured reasoning dtype device"
    )
    assert not marked & set(counts.split())


def another_llm_setting(name: str, tmp_path: Path) -> Any:
    folder = tmp_path / "other"
    folder.mkdir(exist_ok=True)
    (folder / "weights.json").write_text(name)
    given = {
        "structured": "prompt", "reasoning": True, "dtype": "bfloat16", "device": "cpu", "scoring": "echo",
        "adapter": folder, "replay": folder / "weights.json", "model": "n", "base_url": "http://b/v1",
        "provider": "litellm", "temperature": 0.7, "top_p": 0.9, "max_tokens": 9, "seed": 3, "budget": Budget(calls=9),
    }  # fmt: skip
    plain = LLMConfig(provider="openai", model="m", base_url="http://a/v1")
    return given.get(name, another(getattr(plain, name)))


@pytest.mark.parametrize("name", LLMConfig.model_fields)
def test_a_reply_has_another_key_for_every_setting_that_is_not_transport(name, tmp_path):
    plain = LLMConfig(provider="openai", model="m", base_url="http://a/v1")
    changed = plain.model_copy(update={name: another_llm_setting(name, tmp_path)})
    same = (asked_of(plain), plain.sampling) == (asked_of(changed), changed.sampling)
    assert same == is_transport(LLMConfig, name)
    if name in ASKED_IN_THE_REQUEST:
        assert plain.sampling != changed.sampling


def test_a_key_at_the_defaults_is_spelled_as_it_always_was():
    assert asked_of(LLMConfig(provider="openai", model="m", base_url="http://a/v1/")) == ("http://a/v1", "m")


def test_a_file_counts_by_its_contents_wherever_it_lies(tmp_path):
    for name, text in (("a", "one"), ("b", "one"), ("c", "two")):
        (tmp_path / name).write_text(text)
    a, b, c = (settings_of(LLMConfig(provider="replay", replay=tmp_path / name)) for name in "abc")
    assert a == b != c


def test_a_local_model_is_what_its_folder_holds(tmp_path):
    def llm(weights: str, place: str) -> dict[str, Any]:
        folder = tmp_path / place / "model"
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_text(weights)
        (folder / "card.json").write_text(place)
        return settings_of(LLMConfig(provider="local", model=str(folder), adapter=folder))

    one, moved, retuned = llm("w", "here"), llm("w", "there"), llm("v", "again")
    assert one == moved
    assert one["model"] != retuned["model"]
    assert one["adapter"] != retuned["adapter"]


def test_a_change_anywhere_in_a_large_file_of_another_size_or_in_a_piece_read_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "SMALL", 10)
    monkeypatch.setattr(identity, "WHOLE", 1_000)
    monkeypatch.setattr(identity, "PIECE", 100)
    file, seen = tmp_path / "weights", set()
    for stamp, text in enumerate((b"a" * 5_000, b"a" * 2_500 + b"b" + b"a" * 2_499, b"a" * 5_001, b"c" * 900)):
        file.write_bytes(text)
        os.utime(file, (stamp, stamp))
        seen.add(contents_digest(file))
    assert len(seen) == 4


def test_a_path_that_leads_nowhere_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="nothing: no such file or folder"):
        settings_of(LLMConfig(provider="replay", replay=tmp_path / "nothing"))


def test_a_setting_added_to_a_class_counts_without_anybody_naming_it():
    class Longer(LLMConfig):
        thinking: int = 3

    one, two = Longer(provider="openai", model="m"), Longer(provider="openai", model="m", thinking=4)
    assert settings_of(one) != settings_of(two)
    assert asked_of(one) != asked_of(two)


def test_code_counts_by_what_it_says(tmp_path, monkeypatch):
    monkeypatch.setattr(identity, "PACKAGE", tmp_path)
    digests = set()
    for text in ("a = 1", "a = 2"):
        (tmp_path / "room").mkdir(exist_ok=True)
        (tmp_path / "room" / "one.py").write_text(text)
        identity._code_of_folder.cache_clear()
        digests |= {code_digest("room"), code_digest("room", LLMConfig)}
    identity._code_of_folder.cache_clear()
    assert len(digests) == 4


def test_a_digest_does_not_depend_on_the_order_of_keys():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1}) != digest({"a": 1, "b": [3]})


def test_no_setting_of_ours_is_left_out_of_this_contract():
    """A class of settings that is new stands in `SETTINGS`, within one that does, or here with the reason."""
    within = set(SETTINGS)
    for kind in [*SETTINGS]:
        for base in kind.__mro__:
            if inspect.isclass(base) and issubclass(base, BaseModel):
                within.add(base)
    nested = {
        type(value)
        for kind in SETTINGS
        for value in (getattr(kind.model_construct(), name, None) for name in kind.model_fields)
        if isinstance(value, BaseModel)
    }
    missing = []
    for room in ("simulators.studies", "simulators.fidelity", "simulators.refining", "agents.chat", "agents.memory"):
        package = importlib.import_module(f"recloop.{room}")
        for found in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"recloop.{room}.{found.name}")
            for name, kind in vars(module).items():
                ours = inspect.isclass(kind) and issubclass(kind, BaseModel) and kind.__module__ == module.__name__
                if ours and name.endswith("Config") and kind not in within | nested:
                    missing.append(f"{module.__name__}.{name}")
    assert not missing
    assert recloop is not None
