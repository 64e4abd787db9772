"""The discriminator keeps the contract of every agent."""

import pytest
from recloop.agents.discriminator import Discriminate, Discriminator, Noise
from recloop.agents.memory import Embedder

from tests.agents.contract import AgentContract


class TestDiscriminator(AgentContract):
    @pytest.fixture(scope="class")
    @classmethod
    def agent(cls, embed: Embedder) -> Discriminator:
        return Discriminator(Discriminate(calibration_users=10, noise=Noise(quantile=0.3)), seed=1)


class TestRemoving(AgentContract):
    @pytest.fixture(scope="class")
    @classmethod
    def agent(cls, embed: Embedder) -> Discriminator:
        noise = Noise(action="remove", quantile=0.3)
        return Discriminator(Discriminate(calibration_users=5, real=3, set_size=1, noise=noise))
