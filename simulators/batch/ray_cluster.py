"""Shards over a Ray cluster whose machines share the run folder; Ray itself replaces a worker that dies."""

from __future__ import annotations

import os
from typing import Any

from ...errors import ConfigError, RunError
from .shard_job import Report, Shared, run_shard
from .summary import Summary

RETRIES = 5
"""Times Ray starts a shard again after its worker or machine died."""


def run_on_ray(shared: Shared, max_workers: int, report: Report) -> list[Summary]:
    """Do all shards as Ray tasks, at most `max_workers` at a time.

    Uses the running Ray if there is one, else the cluster of RAY_ADDRESS, else a local one for this call. The factory's
    module must be importable on the workers. Raises ConfigError without the extra `ray`, RunError where a shard cannot
    be finished.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ConfigError("backend `ray` needs the extra: pip install 'recloop[ray]'") from error
    ours = not ray.is_initialized()
    if ours:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(include_dashboard=False, log_to_driver=False)
    try:
        work = ray.remote(run_shard).options(num_cpus=1, max_retries=RETRIES)
        shared_reference = ray.put(shared)  # once for all shards: it may hold the data
        waiting = list(range(shared.shards))
        working: dict[Any, int] = {}
        done: dict[int, Summary] = {}
        while waiting or working:
            while waiting and len(working) < max_workers:
                index = waiting.pop(0)
                working[work.remote(shared_reference, index)] = index
            ready, _ = ray.wait(list(working), timeout=0.5)
            report()
            for reference in ready:
                index = working.pop(reference)
                try:
                    done[index] = ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    kind = RunError if isinstance(error.cause, RunError) else RuntimeError
                    raise kind(f"shard {index}: {error.cause}") from error
                except ray.exceptions.RayError as error:
                    raise RunError(
                        f"shard {index} could not be finished on Ray ({error}); start the run again: it resumes"
                    ) from error
        return [done[index] for index in range(shared.shards)]
    finally:
        if ours:
            ray.shutdown()
