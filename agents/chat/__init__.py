"""The client of language models: one seam (`Chat`), providers behind it, wrappers around it, and `ask` on top.

Read `types.py` for the seam, `build.py` for how a chain is composed, `structured.py` for how a question is asked.
"""

from .build import LLMConfig, build_chat, build_likelihood
from .likelihood import Likelihood, Question, Scored
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
    "Question",
    "Replies",
    "Reply",
    "Request",
    "Sampling",
    "Scored",
    "Usage",
    "ask",
    "build_chat",
    "build_likelihood",
]
