"""`prompts render`: a prompt filled in with the facts of a real user. No model is called."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from ... import prompts
from ...agents.agent import Tools
from ...agents.catalogue import item_texts
from ...agents.chat.offline import offline_chat
from ...agents.chat.types import Reply, Request
from ...agents.memory.embeddings import embedder
from ...agents.memory.list_memory import ListMemory
from ...errors import ConfigError
from ...recsys.data.sources import load_split
from ..batch.event_loop import run_async
from ..studies.steps import AGENTS, AgentContext, make_agent, step_of
from ..studies.study import AnyStudy, study_of

WALKS = 50
"""Users whose walk is searched for a prompt that not every walk reaches, such as a reflection."""


def prompts_render(name: str, study: AnyStudy, user: str | None = None, settings: Sequence[str] = ()) -> dict[str, Any]:
    """The prompt as a real user's walk fills it: the first one of that name, answered up to there by `offline`.

    study: whose data, settings and wordings are used; user: the data's own user id, else the first whose walk comes to
    that prompt. No model is called. Gives name, digest, task and messages (role, content).
    """
    study = study_of(study, settings)
    wanted = prompts.load(name, study.prompts)
    steps = [entry for entry in study.steps for step in entry if name in step_of(step).prompts]
    steps = steps or [{step: {}} for step, kind in AGENTS.items() if name in kind.prompts]
    if not steps:
        raise ConfigError(f"prompt {name!r} belongs to no agent: nothing fills it in")
    [(step, given)] = steps[0].items()
    train = load_split(study.data).train
    texts = list(item_texts(train).values())
    around = AgentContext(embedder(study.embedder, texts), study.llm.sampling, study.seed, study.prompts)
    agent, offline = make_agent(step, given, around), offline_chat(texts)

    async def first(task: Any) -> Request | None:
        requests: list[Request] = []

        async def recording(request: Request) -> Reply:
            requests.append(request)
            return await offline(request)

        await agent.graph().ainvoke(dict(task.state), context=Tools(recording, ListMemory(around.embed)))
        return next((request for request in requests if request.prompt.startswith(f"{name}@")), None)

    if user is None:
        tasks = list(islice(agent.tasks(train), WALKS))
    else:
        tasks = [task for task in agent.tasks(train) if task.key == f"user:{user}"]
        if not tasks:
            raise ConfigError(
                f"no task for user {user!r}: ids are the data's own, and the train history needs two items"
            )
    for task in tasks:
        request = run_async(first(task))
        if request is not None:
            messages = [{"role": m.role, "content": m.content} for m in request.messages]
            return {"name": name, "digest": wanted.digest, "task": task.key, "messages": messages}
    raise ConfigError(f"prompt {name!r} was not reached by {len(tasks)} walk(s); name another user")
