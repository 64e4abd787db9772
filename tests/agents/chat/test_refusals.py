"""One table of statuses for every provider: what stops a run, what is tried again, what fails one task."""

import json
from collections.abc import Callable

import pytest
from recloop.agents.chat.build import build_chat
from recloop.agents.chat.config import LLMConfig
from recloop.agents.chat.litellm_chat import litellm_chat
from recloop.agents.chat.loopback import Canned, Loopback
from recloop.agents.chat.openai_chat import openai_chat
from recloop.agents.chat.types import Chat, Message, Request, Sampling
from recloop.agents.chat.wire import body_of, reply_of
from recloop.errors import ConfigError, ModelUnavailable, ReplyInvalid

REQUEST = Request((Message("user", "Say something."),))


def openai(server: Loopback) -> Chat:
    return openai_chat("m", base_url=server.url, api_key_env=None)


def litellm_openai(server: Loopback) -> Chat:
    return litellm_chat("openai/m", base_url=server.url, timeout=20)


def litellm_anthropic(server: Loopback) -> Chat:
    return litellm_chat("anthropic/claude-haiku-4-5", base_url=server.url.removesuffix("/v1"), timeout=20)


PROVIDERS = [openai, litellm_openai, litellm_anthropic]


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-nobody-at-all")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-of-nobody")


async def outcome(provider: Callable[[Loopback], Chat], status: int, body: object, **headers: str) -> Exception:
    async with Loopback(script=lambda _: Canned(status, body, headers)) as server:
        with pytest.raises(Exception) as caught:  # noqa: PT011
            await provider(server)(REQUEST)
        # After a 422 litellm's own client leaves out what the vendor may not know, and sends once more.
        assert server.counts["requests"] <= (2 if status == 422 and provider is litellm_openai else 1)
    return caught.value


TABLE = {
    400: (False, False),
    402: (False, False),
    403: (False, False),
    408: (True, False),
    409: (True, False),
    413: (False, False),
    422: (False, False),
    429: (True, True),
    500: (True, False),
    502: (True, True),
    503: (True, True),
    504: (True, True),
    529: (True, True),
}


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("status", TABLE)
async def test_every_provider_takes_a_status_for_the_same_error(provider, status) -> None:
    error = await outcome(provider, status, {"error": {"message": "planted", "type": "t"}})
    assert isinstance(error, ModelUnavailable)
    assert (error.status, error.retryable, error.busy) == (status, *TABLE[status])
    assert error.hopeless == (status == 402)
    # Of a second 422 litellm keeps no words.
    assert "planted" in str(error) or (status == 422 and provider is litellm_openai)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, {"error": {"message": "bad"}}, "refuses the API key"),
        (404, {"error": {"message": "no such model"}}, r"llm\.base_url, llm\.model"),
        (400, [{"error": {"code": 400, "message": "API key not valid. Please pass a valid one."}}], "refuses the API"),
    ],
)
async def test_a_refused_key_or_model_is_a_setting_with_every_provider(provider, status, body, words) -> None:
    error = await outcome(provider, status, body)
    assert isinstance(error, ConfigError)
    with pytest.raises(ConfigError, match=words):
        raise error


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_content_filter_declines_one_task_with_every_provider(provider) -> None:
    error = await outcome(provider, 400, {"error": {"message": "the policy", "code": "content_filter"}})
    assert isinstance(error, ReplyInvalid)
    assert error.kind == "refused"


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_empty_account_is_hopeless_and_not_tried_again(provider) -> None:
    error = await outcome(provider, 429, {"error": {"message": "quota", "code": "insufficient_quota"}})
    assert isinstance(error, ModelUnavailable)
    assert (error.hopeless, error.retryable, error.busy) == (True, False, False)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_retry_after_comes_through_every_provider(provider) -> None:
    error = await outcome(provider, 429, {"error": {"message": "slow down"}}, **{"Retry-After": "3"})
    assert isinstance(error, ModelUnavailable)
    assert error.retry_after == 3


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("body", [{"error": {"message": "upstream is down"}}, "<html>login</html>", {"choices": []}])
async def test_a_200_that_is_no_reply_may_be_tried_again(provider, body) -> None:
    error = await outcome(provider, 200, body)
    assert isinstance(error, ModelUnavailable)
    assert error.retryable
    assert not error.busy


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_server_that_is_not_there_is_busy_with_every_provider(provider) -> None:
    server = Loopback()
    await server.start()
    await server.stop()
    with pytest.raises(ModelUnavailable, match="cannot be reached") as caught:
        await provider(server)(REQUEST)
    assert (caught.value.retryable, caught.value.busy, caught.value.spent) == (True, True, False)
    assert "no running event loop" not in str(caught.value)


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_every_provider_answers_in_the_end(provider) -> None:
    async with Loopback() as server:
        assert (await provider(server)(REQUEST)).text.endswith(".")


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        ("Unsupported value: 'temperature' does not support 0", r"llm\.reasoning: true"),
        ("Unsupported parameter: 'max_tokens'", r"llm\.reasoning: true"),
        ("`temperature` and `top_p` cannot both be specified", r"llm\.temperature or llm\.top_p, not both"),
        ("max_tokens is too large: 99999; at most 4096", r"lower llm\.max_tokens"),
        ("This response_format type is unavailable now", r"llm\.structured: json_object"),
        ('Unknown name "additionalProperties" at response_schema', r"llm\.structured: json_object"),
        ("This model's maximum context length is 8192 tokens", "shorten the prompts"),
    ],
)
async def test_a_refused_parameter_names_the_setting(words, setting) -> None:
    error = await outcome(openai, 400, {"error": {"message": words}})
    with pytest.raises(ModelUnavailable, match=setting):
        raise error


async def test_temperature_and_top_p_go_together_only_where_both_are_set() -> None:
    def fields(**sampling: float) -> set[str]:
        body = body_of(Request(REQUEST.messages, sampling=Sampling(**sampling)), "m", "json_schema")
        return {"temperature", "top_p"} & body.keys()

    assert fields() == {"temperature"}
    assert fields(top_p=0.9) == {"temperature"}
    assert fields(temperature=0.7) == {"temperature"}
    assert fields(temperature=0.7, top_p=0.9) == {"temperature", "top_p"}


@pytest.mark.parametrize("provider", ["openai", "litellm"])
async def test_a_server_that_refuses_both_temperature_and_top_p_answers_by_default(provider) -> None:
    def script(body: dict) -> Canned | None:
        both = {"temperature", "top_p"} <= body.keys()
        return Canned(400, {"error": {"message": "temperature and top_p"}}) if both else None

    async with Loopback(script=script) as server:
        model = "m" if provider == "openai" else "openai/m"
        await build_chat(LLMConfig(provider=provider, model=model, base_url=server.url))(REQUEST)


def test_litellm_without_its_vendors_key_says_so_before_any_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY")
    with pytest.raises(ConfigError, match=r"ANTHROPIC_API_KEY, which is not set.*llm\.api_key_env"):
        litellm_chat("anthropic/claude-haiku-4-5")


async def test_litellm_with_an_unknown_vendor_is_a_setting() -> None:
    with pytest.raises(ConfigError, match=r"no vendor of llm\.model 'nonsense'"):
        await litellm_chat("nonsense")(REQUEST)


async def test_an_address_with_a_query_sends_it_with_every_call() -> None:
    async with Loopback(keep=True) as server:
        seen = []
        address = f"{server.url}?api-version=2024-10-21"
        server.script = seen.append
        await openai_chat("m", base_url=address, api_key_env="OPENAI_API_KEY")(REQUEST)
        assert server.queries == ["api-version=2024-10-21"]
    with pytest.raises(ConfigError, match="has a query, which litellm does not send"):
        litellm_chat("openai/m", base_url=address)


STREAM = """data: {"model": "m-1", "choices": [{"delta": {"role": "assistant", "content": "{\\"a\\""}}]}

: keep-alive
data: {"choices": [{"delta": {"content": ": 1}"}, "finish_reason": "stop"}]}
data: {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 4}}
data: [DONE]
"""


async def test_a_server_that_always_streams_is_read() -> None:
    async with Loopback(script=lambda _: Canned(200, STREAM)) as server:
        reply = await openai(server)(REQUEST)
    assert (reply.text, reply.model, reply.finish_reason) == ('{"a": 1}', "m-1", "stop")
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (7, 4)


def completion(message: dict, finish: str | None = "stop", **more: object) -> bytes:
    return json.dumps({"choices": [{"message": message, "finish_reason": finish}], **more}).encode()


def test_json_that_came_as_reasoning_content_is_read() -> None:
    reply = reply_of(completion({"content": None, "reasoning_content": 'So: {"a": 1}'}), "m", 0.0)
    assert (reply.text, reply.finish_reason) == ('{"a": 1}', "stop")
    with pytest.raises(ModelUnavailable, match=r"reasoning_content.*--reasoning-parser"):
        reply_of(completion({"content": None, "reasoning_content": "I wonder"}), "m", 0.0)


@pytest.mark.parametrize(
    ("finish", "read"),
    [("MAX_TOKENS", "length"), ("STOP", "stop"), ("SAFETY", "refusal"), ("model_length", "length"), (None, "other")],
)
def test_finish_reasons_of_gateways_are_read(finish, read) -> None:
    assert reply_of(completion({"content": "x"}, finish), "m", 0.0).finish_reason == read


def test_usage_is_read_as_float_and_as_text() -> None:
    reply = reply_of(completion({"content": "x"}, usage={"prompt_tokens": 12.0, "completion_tokens": "3"}), "m", 0.0)
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (12, 3)
