"""What the tests of the client share: questions, a served model, and a file of replies."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from recloop.agents.chat.handles import handles_for, ranking_reply
from recloop.agents.chat.loopback import Loopback
from recloop.agents.chat.replies import Replies
from recloop.agents.chat.types import Message, Request, Sampling

Ask = Callable[..., Request]


@pytest.fixture
def question() -> Ask:
    """question(7, draw=1): a request to rank three items, its text told apart by the number."""

    def make(number: int = 0, *, items: int = 3, draw: int = 0, max_tokens: int = 512, **more: object) -> Request:
        return Request(
            messages=(Message("system", "You judge."), Message("user", f"Question {number}: rank the items.")),
            schema=ranking_reply(handles_for(items)),
            sampling=Sampling(max_tokens=max_tokens),
            draw=draw,
            agent="tester",
            **more,
        )

    return make


@pytest.fixture
async def server() -> AsyncIterator[Loopback]:
    async with Loopback() as loopback:
        yield loopback


@pytest.fixture
def replies(tmp_path: Path) -> Iterator[Replies]:
    with Replies(tmp_path / "replies.sqlite") as kept:
        yield kept
