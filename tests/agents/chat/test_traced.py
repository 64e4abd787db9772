"""Spans of calls, with a real tracer; and logs in which no key stands."""

import io
import json
import logging

import pytest
from recloop.agents.chat.scripted import scripted_chat
from recloop.agents.chat.traced import task_spans, traced
from recloop.errors import ModelUnavailable
from recloop.logs import set_up_logs


@pytest.fixture
def spans():
    from opentelemetry.sdk import trace as sdk
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    kept, provider = InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    return provider.get_tracer("test"), kept


async def test_a_call_is_a_span_inside_its_task_without_its_text(question, spans) -> None:
    tracer, kept = spans
    chat = traced(scripted_chat(["a secret answer"]), tracer, provider="openai", model="m")
    with task_spans(tracer, "setwise")("user:1"):
        await chat(question())
    call, task = kept.get_finished_spans()
    assert call.parent.span_id == task.context.span_id
    assert task.attributes["recloop.task"] == "user:1"
    assert call.attributes["gen_ai.usage.output_tokens"] == 3
    assert call.attributes["gen_ai.operation.name"] == "chat"
    assert "secret" not in call.to_json() + task.to_json()


async def test_a_failed_call_is_a_failed_span_without_the_key(question, spans, monkeypatch) -> None:
    monkeypatch.setenv("MY_API_KEY", "very-private-value-42")
    tracer, kept = spans
    chat = traced(scripted_chat([ModelUnavailable("no: very-private-value-42")]), tracer, provider="openai", model="m")
    with pytest.raises(ModelUnavailable):
        await chat(question())
    [call] = kept.get_finished_spans()
    assert call.status.is_ok is False
    assert "very-private" not in call.to_json()


@pytest.mark.parametrize("as_json", [True, False])
def test_a_log_line_holds_its_event_and_no_key(monkeypatch, as_json) -> None:
    monkeypatch.setenv("MY_API_KEY", "very-private-value-42")
    stream = io.StringIO()
    handler = set_up_logs("info", as_json=as_json, stream=stream)
    log = logging.getLogger("recloop.somewhere")
    log.info("asked with %s", "very-private-value-42", extra={"task": "user:1", "header": "very-private-value-42"})
    try:
        raise ValueError("very-private-value-42")
    except ValueError:
        log.exception("it failed")
    log.debug("too fine")
    logging.getLogger("recloop").removeHandler(handler)
    logging.getLogger("recloop").propagate = True
    assert "very-private" not in stream.getvalue()
    assert "user:1" in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert "too fine" not in stream.getvalue()
    if as_json:
        first, second = map(json.loads, stream.getvalue().splitlines())
        assert first["event"] == "asked with [redacted]"
        assert first["task"] == "user:1"
        assert second["level"] == "error"
