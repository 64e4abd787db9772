"""The generator keeps the contract of every agent, in each of its modes."""

import pytest
from recloop.agents.generator import Generate, Generator
from recloop.agents.memory import Embedder

from tests.agents.contract import AgentContract


class TestNextItem(AgentContract):
    @pytest.fixture(scope="class")
    @classmethod
    def agent(cls, embed: Embedder) -> Generator:
        return Generator(Generate(slate_size=8), embed, seed=1)


class TestColdItem(AgentContract):
    @pytest.fixture(scope="class")
    @classmethod
    def agent(cls, embed: Embedder) -> Generator:
        return Generator(Generate(mode="cold_item", slate_size=6, set_size=4, items=12), embed)


class TestPairs(AgentContract):
    @pytest.fixture(scope="class")
    @classmethod
    def agent(cls, embed: Embedder) -> Generator:
        return Generator(Generate(mode="pairs", slate_size=6, users=7), embed)


class TestFree(AgentContract):
    @pytest.fixture(scope="class")
    @classmethod
    def agent(cls, embed: Embedder) -> Generator:
        return Generator(Generate(free=True), embed)
