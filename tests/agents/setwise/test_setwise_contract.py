"""The set-wise agent keeps the contract of every agent."""

import pytest
from recloop.agents.memory import Embedder
from recloop.agents.setwise import Setwise, SetwiseAgent

from tests.agents.contract import AgentContract


class TestSetwise(AgentContract):
    @pytest.fixture(scope="class")
    @classmethod
    def agent(cls, embed: Embedder) -> SetwiseAgent:
        return SetwiseAgent(Setwise(walk=2), embed=embed, seed=1)


class TestSetwiseWithoutAWalk(AgentContract):
    @pytest.fixture(scope="class")
    @classmethod
    def agent(cls, embed: Embedder) -> SetwiseAgent:
        return SetwiseAgent(Setwise(walk=0, users=4), embed=embed)
