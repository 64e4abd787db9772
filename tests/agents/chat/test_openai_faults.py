"""What a server may do wrong, and what the client makes of it."""

import asyncio
from contextlib import suppress

import pytest
from recloop.agents.chat.loopback import Loopback
from recloop.agents.chat.openai_chat import openai_chat
from recloop.agents.chat.refusals import retry_after
from recloop.agents.chat.types import Message, Request
from recloop.agents.chat.wire import endpoint_of, reply_of
from recloop.errors import ConfigError, ModelUnavailable


def client(server: Loopback, **more: object):
    return openai_chat("m", base_url=server.url, api_key_env=None, **more)


@pytest.mark.parametrize(
    ("fault", "status", "busy", "spent"),
    [
        ("error_429", 429, True, False),
        ("error_500", 500, False, False),
        ("error_503", 503, True, False),
        ("disconnect", None, False, True),
        ("malformed", 200, False, True),
        ("empty_choices", 200, False, True),
    ],
)
async def test_a_fault_of_the_transport_may_be_tried_again(question, fault, status, busy, spent) -> None:
    async with Loopback(faults={fault: 1.0}, retry_after=7) as server:
        with pytest.raises(ModelUnavailable) as caught:
            await client(server)(question())
    error = caught.value
    assert error.retryable
    assert (error.status, error.busy, error.spent) == (status, busy, spent)
    assert error.retry_after == (7 if fault == "error_429" else None)


async def test_a_stall_ends_at_the_deadline(question) -> None:
    async with Loopback(faults={"stall": 1.0}) as server:
        with pytest.raises(ModelUnavailable, match=r"no whole answer in 0\.3 s") as caught:
            await client(server, timeout=0.3)(question())
    assert caught.value.retryable
    assert caught.value.spent


async def test_a_server_that_trickles_does_not_hold_a_call_beyond_the_deadline(question) -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000000\r\n\r\n")
        # For ever: only the deadline ends the call.
        with suppress(ConnectionError):
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)

    listening = await asyncio.start_server(trickle, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    with pytest.raises(ModelUnavailable, match="no whole answer"):
        await openai_chat("m", base_url=f"http://127.0.0.1:{port}/v1", api_key_env=None, timeout=0.4)(question())
    listening.close()


async def test_a_server_that_is_not_there_is_busy_and_nothing_was_spent(question) -> None:
    server = Loopback()
    await server.start()
    await server.stop()
    with pytest.raises(ModelUnavailable, match="cannot be reached") as caught:
        await client(server)(question())
    assert caught.value.retryable
    assert caught.value.busy
    assert not caught.value.spent


async def test_a_wrong_key_stops_the_run_and_is_not_repeated_in_the_message(question, monkeypatch) -> None:
    monkeypatch.setenv("MY_KEY", "very-private-value-42")
    async with Loopback(api_key="another") as server:
        chat = openai_chat("m", base_url=server.url, api_key_env="MY_KEY")
        with pytest.raises(ConfigError, match="refuses the API key") as caught:
            await chat(question())
    assert "very-private" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_key_that_is_not_set_is_missed_before_any_call(monkeypatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(ConfigError, match="NO_SUCH_KEY"):
        openai_chat("m", api_key_env="NO_SUCH_KEY")


async def test_a_wrong_address_is_a_setting_to_mend(question) -> None:
    async with Loopback() as server:
        with pytest.raises(ConfigError, match=r"llm\.base_url"):
            await openai_chat("m", base_url=server.url + "/nowhere", api_key_env=None)(question())


@pytest.mark.parametrize(("fault", "finish"), [("truncated", "length"), ("refusal", "refusal"), ("not_json", "stop")])
async def test_the_way_a_reply_ended_is_told(question, fault, finish) -> None:
    async with Loopback(faults={fault: 1.0}) as server:
        assert (await client(server)(question())).finish_reason == finish


async def test_missing_usage_is_unknown_and_not_zero(question) -> None:
    async with Loopback(faults={"missing_usage": 1.0}) as server:
        usage = (await client(server)(question())).usage
    assert usage.prompt_tokens is None
    assert usage.completion_tokens is None


async def test_a_right_body_under_a_wrong_content_type_is_read(question) -> None:
    async with Loopback(faults={"wrong_type": 1.0}) as server:
        assert (await client(server)(question())).finish_reason == "stop"


async def test_logprobs_come_in_order(question, server) -> None:
    reply = await client(server)(question(logprobs=True))
    assert "".join(token for token, _ in reply.logprobs) == reply.text
    assert all(value <= 0 for _, value in reply.logprobs)


async def test_a_reply_over_max_tokens_is_cut_off(question, server) -> None:
    reply = await client(server)(question(max_tokens=5))
    assert reply.finish_reason == "length"


async def test_many_calls_share_connections_and_all_are_answered(question) -> None:
    async with Loopback(hold=40) as server:
        chat = client(server, concurrency=40)
        replies = await asyncio.gather(*(chat(question(number)) for number in range(120)))
        assert len({reply.text for reply in replies}) > 100
        assert server.most_in_flight >= 40


async def test_free_text_can_be_asked_for(server) -> None:
    reply = await client(server)(Request((Message("user", "Say something."),)))
    assert reply.text.endswith(".")


def test_one_client_serves_one_event_loop_after_another(question) -> None:
    """A notebook's cells, or a script with several asyncio.run."""
    chats: list = []

    async def once() -> str:
        async with Loopback() as server:
            chats.append(client(server))
            return (await chats[-1](question())).text

    assert asyncio.run(once()) == asyncio.run(once())


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read_in_every_form(headers, seconds) -> None:
    assert retry_after(headers) == seconds


def test_an_address_is_known_without_its_password() -> None:
    assert endpoint_of("https://me:secret@host.org:8/v1/?key=x") == "https://host.org:8/v1"


@pytest.mark.parametrize(
    "raw", [b"", b"null", b"[]", b'{"choices": null}', b'{"choices": [{}]}', b'{"choices": [null]}', b"\xff\xfe"]
)
def test_a_body_that_is_no_completion_may_be_tried_again(raw) -> None:
    with pytest.raises(ModelUnavailable, match="no chat completion"):
        reply_of(raw, "m", 0.0)


def test_an_error_under_status_200_is_an_error() -> None:
    with pytest.raises(ModelUnavailable, match="upstream is down"):
        reply_of(b'{"error": {"message": "upstream is down"}}', "m", 0.0)
