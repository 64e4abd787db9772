"""The pair scorer keeps the contract of every agent."""

import pytest
from recloop.agents.memory import Embedder
from recloop.agents.pair_scorer import PairScorer, ScorePairs
from recloop.agents.pair_scorer.config import Coverage
from recloop.recsys.data.groups import ColdConfig

from tests.agents.contract import AgentContract


class TestPairScorer(AgentContract):
    @pytest.fixture(scope="class")
    @classmethod
    def agent(cls, embed: Embedder) -> PairScorer:
        return PairScorer(ScorePairs(coverage=Coverage(candidates=12)), seed=1)


class TestEveryCoverageSet(AgentContract):
    @pytest.fixture(scope="class")
    @classmethod
    def agent(cls, embed: Embedder) -> PairScorer:
        coverage = Coverage(
            source="popularity", candidates=6, users=4, diverse=5, cold=ColdConfig(), tail_users=2, tail=0.3
        )
        return PairScorer(ScorePairs(coverage=coverage, list_size=6, draws=3))
