"""Two small models: one that reads prompts as they stand, one with a chat template."""

from __future__ import annotations

import pytest
from recloop.agents.chat.local.model import LocalModel, load_model

from tests.agents.small_lm import CHAT_TEMPLATE, made


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load_model(made(tmp_path_factory.mktemp("plain") / "plain"), device="cpu")


@pytest.fixture(scope="session")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    folder = made(tmp_path_factory.mktemp("chatty") / "chatty", chat_template=CHAT_TEMPLATE, seed=1)
    return load_model(folder, device="cpu")
