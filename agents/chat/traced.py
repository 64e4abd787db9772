"""OpenTelemetry spans of tasks and of the calls inside them; off unless a study says `run: {telemetry: true}`.

Only the API is used (the extra `telemetry`): which spans are kept and where they go is the SDK's matter, set up by
whoever runs the program (`opentelemetry-instrument recloop run study.yaml`). No text of a prompt or a reply is in them.
Attributes follow the GenAI conventions of OpenTelemetry where they have a name for a thing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError, LLMError
from ...redaction import redact
from .types import Chat, Reply, Request

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

Span = Callable[[str], AbstractContextManager[None]]
"""What a run enters around each task, given the task's key."""


def tracer() -> Tracer:
    """The program's tracer. Raises ConfigError where the extra is not installed."""
    try:
        from opentelemetry import trace
    except ModuleNotFoundError as error:
        raise ConfigError("run.telemetry needs the extra: pip install 'recloop[telemetry]'") from error
    return trace.get_tracer("recloop")


def traced(chat: Chat, spans: Tracer, *, provider: str, model: str) -> Chat:
    """`chat` with a span a call: who asked, by which prompt, tokens, turns, cached or not, how it ended."""
    from opentelemetry.trace import Status, StatusCode

    async def chat_with_span(request: Request) -> Reply:
        attributes_of_request: dict[str, Any] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": provider,
            "gen_ai.request.model": model,
            "gen_ai.request.temperature": request.sampling.temperature,
            "gen_ai.request.max_tokens": request.sampling.max_tokens,
            "recloop.agent": request.agent,
            "recloop.prompt": request.prompt,
            "recloop.draw": request.draw,
        }
        with spans.start_as_current_span(
            f"chat {model}", attributes=attributes_of_request, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                reply = await chat(request)
            except LLMError as error:
                # Recorded by hand: an exception's own text and trace are not redacted.
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(Status(StatusCode.ERROR, redact(str(error))[:300]))
                raise
            attributes_of_reply = {
                "gen_ai.response.model": reply.model,
                "gen_ai.response.finish_reasons": [reply.finish_reason],
                "gen_ai.usage.input_tokens": reply.usage.prompt_tokens,
                "gen_ai.usage.output_tokens": reply.usage.completion_tokens,
                "recloop.cached": reply.cached,
                "recloop.turns": reply.turns,
                "recloop.cost_usd": reply.cost,
            }
            span.set_attributes({name: value for name, value in attributes_of_reply.items() if value is not None})
            return reply

    return chat_with_span


def task_spans(spans: Tracer, agent: str) -> Span:
    """A span around each task, named by the agent, with the task's key."""

    @contextmanager
    def around(key: str) -> Iterator[None]:
        with spans.start_as_current_span(
            f"task {agent}",
            attributes={"recloop.agent": agent, "recloop.task": key},
            record_exception=False,
            set_status_on_exception=False,
        ):
            yield

    return around
