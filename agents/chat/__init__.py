"""The client of language models: the `Chat` protocol, providers, the wrappers around them, and `ask` on top.

`types.py` has the protocol, `config.py` the settings, `build.py` the chain, `structured.py` the repair turn.
"""

from .build import build_chat, build_likelihood
from .config import LLMConfig
from .likelihood import Likelihood, Scored, ScoringRequest
from .meter import Budget, Meter
from .replies import Replies
from .structured import ask
from .types import Chat, Facts, Message, Reply, Request, Sampling, Usage

__all__ = [
    "Budget",
    "Chat",
    "Facts",
    "LLMConfig",
    "Likelihood",
    "Message",
    "Meter",
    "Replies",
    "Reply",
    "Request",
    "Sampling",
    "Scored",
    "ScoringRequest",
    "Usage",
    "ask",
    "build_chat",
    "build_likelihood",
]
