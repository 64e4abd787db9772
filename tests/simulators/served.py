"""A loopback server on a thread, for tests that run a whole study, which has an event loop of its own."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recloop.agents.chat.loopback import Loopback
from recloop.simulators.studies.study import Study


@contextmanager
def serving(**options: Any) -> Iterator[Loopback]:
    server, loop = Loopback(**options), asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def study(url: str, out: Path, name: str = "small", *, users: int = 6, **sections: Any) -> Study:
    """A bazaar study that asks a few users, one step and one reflection each, and trains popularity alone."""
    llm = {"provider": "openai", "model": "loopback", "base_url": url, **sections.pop("llm", {})}
    return Study.model_validate(
        {
            "name": name,
            "data": {"source": "bazaar", "n_users": 50, "n_items": 120},
            "llm": llm,
            "memory": {"store": "process"},
            "steps": [{"setwise": {"users": users, "walk": 1, "rounds": 1}}],
            "train": {"models": ["popularity"], "seeds": [0]},
            "evaluate": {"metrics": ["ndcg@10"], "groups": [], "controls": ["random_edit"], "draws": 100},
            "out": out,
            **sections,
        }
    )
