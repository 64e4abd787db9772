"""The denoiser keeps the contract of every agent, in each mode and with each action."""

import pytest
from recloop.agents.chat.likelihood import scripted_likelihood
from recloop.agents.denoiser import Denoise, Denoiser
from recloop.agents.memory import Embedder

from tests.agents.contract import AgentContract


class TestRemoving(AgentContract):
    @pytest.fixture(scope="class")
    @classmethod
    def agent(cls, embed: Embedder) -> Denoiser:
        return Denoiser(Denoise(threshold=0.5, window=6), embed, seed=1)


class TestReplacing(AgentContract):
    @pytest.fixture(scope="class")
    @classmethod
    def agent(cls, embed: Embedder) -> Denoiser:
        return Denoiser(Denoise(threshold=0.4, action="replace", guards={"recent": 0, "cold": 0}), embed)


class TestHardSamples(AgentContract):
    @pytest.fixture(scope="class")
    @classmethod
    def agent(cls, embed: Embedder) -> Denoiser:
        hard = {"epochs": 2, "high": 0.5, "vary": 1.0, "last": 2}
        return Denoiser(Denoise(mode="hard_samples", action="weight", threshold=0.3, hard=hard), embed)


class TestLikelihood(AgentContract):
    """What is weighed counts as a call, so a scripted model keeps the contract, too."""

    @pytest.fixture(scope="class")
    @classmethod
    def agent(cls, embed: Embedder) -> Denoiser:
        likelihood = scripted_likelihood(lambda question: [[-len(text) / 20] for text in question.continuations])
        return Denoiser(Denoise(mode="likelihood", threshold=0.3), embed, likelihood=likelihood)
