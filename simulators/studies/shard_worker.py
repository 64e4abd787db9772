"""A worker's side of a sharded study: chat, embedder, memory and account of one step, made in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...agents.chat.build import limits_of
from ...agents.chat.replies import Replies
from ..batch.shard_job import SHARD, Job
from ..batch.usage import open_share
from .step_identity import identity_of
from .step_tools import agent_context, cache_of, chat_of, max_tasks, memory_of, span_of, tools_of
from .steps import make_agent
from .study import Study

FACTORY = f"{__name__}:job"


def job(config: Mapping[str, Any]) -> Job:
    """The Job of one shard. config: study, name and settings of the step, data, texts, folder, total."""
    study: Study = config["study"]
    shards = study.run.workers
    meter = open_share(study.folder, study.llm.budget, config[SHARD])
    replies = Replies(cache_of(study, config[SHARD]))
    llm = study.llm.model_copy(
        update={
            "concurrency": -(-study.llm.concurrency // shards),
            "rpm": study.llm.rpm and max(1, study.llm.rpm // shards),
            "tpm": study.llm.tpm and max(1, study.llm.tpm // shards),
            # The ledger keeps the budget; the worker's own account knows what it was granted of it.
            "budget": meter.budget,
        }
    )
    limits = limits_of(llm)
    around = agent_context(study, llm, replies, meter, config["texts"], limits)
    agent = make_agent(config["name"], config["settings"], around)
    memory = memory_of(study, around.embed, config["folder"], config[SHARD])

    def close() -> None:
        memory.close()
        replies.close()
        meter.save()

    return Job(
        agent,
        config["data"],
        tools_of(chat_of(study, llm, replies, meter, config["texts"], limits), memory),
        study.seed,
        concurrency=max_tasks(llm),
        total=config["total"],
        limit=config["limit"],
        span=span_of(study, agent),
        close=close,
        **identity_of(study, config["name"], config["settings"], config["data"])["run"],
    )
