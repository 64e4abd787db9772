"""`ask`: a rendered prompt in, a validated pydantic object out, with one repair turn for a reply of the wrong form."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from ...errors import ReplyInvalid
from ...redaction import redact
from .json_text import RepeatedKey, check_keys, object_text
from .types import Chat, ChatTools, Facts, Message, Reply, Request, Sampling, Tally, Usage
from .wire import in_words

if TYPE_CHECKING:
    from ...prompts import Rendered

R = TypeVar("R", bound=BaseModel)

_MAX_QUOTED = 4000
"""Characters of a wrong reply that its repair turn quotes; a wrong reply can be of any length."""
_MAX_PROBLEMS = 8
_ATTEMPTS = 3
"""Calls for one request whose replies are cut off or declined."""


async def ask(
    tools: ChatTools,
    rendered: Rendered,
    reply: type[R],
    *,
    facts: Facts | None = None,
    sampling: Sampling = Sampling(),
    draw: int = 0,
    agent: str = "",
) -> R:
    """The answer of `ask_whole`, as a `reply` object alone."""
    answer, _ = await ask_whole(tools, rendered, reply, facts=facts, sampling=sampling, draw=draw, agent=agent)
    return answer


async def ask_whole(
    tools: ChatTools,
    rendered: Rendered,
    reply: type[R],
    *,
    facts: Facts | None = None,
    sampling: Sampling = Sampling(),
    draw: int = 0,
    logprobs: bool = False,
    agent: str = "",
) -> tuple[R, Reply]:
    """Send `rendered` and give the answer as a `reply` object, and as it came; count its cost in `tools.tally`.

    A reply of the wrong form gets one repair turn that carries the validation error. Raises ReplyInvalid where that is
    wrong too (kind "schema"), where the reply was cut off at `max_tokens` ("truncated": repairing half an answer would
    invent the other half), or where the model declined ("refused"); and whatever else `tools.chat` raises.
    """
    request = Request(
        messages=_messages(rendered),
        schema=reply,
        sampling=sampling,
        draw=draw,
        logprobs=logprobs,
        agent=agent,
        prompt=f"{rendered.name}@{rendered.digest}",
        facts=facts,
    )
    tools.tally.prompts.add(request.prompt)
    try:
        answer = await valid_reply(tools.chat, request)
    except ReplyInvalid as error:
        if error.reply is not None:
            count(tools.tally, error.reply)
        raise
    count(tools.tally, answer)
    return reply.model_validate_json(answer.text), answer


async def valid_reply(chat: Chat, request: Request) -> Reply:
    """The reply of `chat`, its text being JSON of `request.schema`, after one repair turn where it needs one.

    Raises ReplyInvalid with the tokens of all turns in its `reply`.
    """
    first = await chat(request)
    text, problem = read(first, request)
    if problem is None:
        return _bare(first, text)
    if first.repairs:
        raise _wrong_form(problem, first)
    unmatched = first.unmatched + unknown_handles(text, request.schema)
    answer = await chat(repair_request(request, first.text, problem))
    second = replace(after(first, answer), repairs=1, unmatched=unmatched)
    text, problem = read(second, request)
    if problem is not None:
        raise _wrong_form(problem, replace(second, unmatched=unmatched + unknown_handles(text, request.schema)))
    return _bare(second, text)


def repaired(chat: Chat, *, reasoning: bool = False) -> Chat:
    """`chat` with the repair turn inside, so that a cache around it keeps and replays the repaired reply as one.

    A declined reply is requested again, as it stands, twice at most: content filters differ from call to call. So is a
    reply that was cut off, but not one that reached `max_tokens` at temperature 0, which would be the same again.
    `reasoning`: the model is not sent the temperature. A cut-off reply is never completed.
    """

    async def persistent(request: Request) -> Reply:
        earlier: Reply | None = None
        attempt = 0
        while True:
            attempt += 1
            try:
                reply = await valid_reply(chat, request)
            except ReplyInvalid as error:
                final = error.kind == "schema" or attempt == _ATTEMPTS
                if error.kind == "truncated" and not reasoning and request.sampling.temperature == 0:
                    final = final or _reached_max_tokens(error.reply, request)
                if error.reply is not None and earlier is not None:
                    error.reply = after(earlier, error.reply)
                earlier = error.reply = error.reply or earlier
                if earlier is None or final:
                    raise
            else:
                return reply if earlier is None else after(earlier, reply)

    return persistent


def read(reply: Reply, request: Request) -> tuple[str, str | None]:
    """The reply's JSON text without what stands around it, and what is wrong with it (None: nothing).

    Raises ReplyInvalid for a reply that was cut off (unless its JSON is whole) or declined: neither is a question of
    form.
    """
    schema = request.schema
    if reply.finish_reason == "refusal":
        raise ReplyInvalid(f"{reply.model} declined: {redact(reply.text[:200])}", kind="refused", reply=reply)
    text = reply.text if schema is None else object_text(reply.text)
    problem = _problem(text, schema)
    if reply.finish_reason == "length" and (schema is None or problem is not None):
        raise ReplyInvalid(_cut_off(reply, request), kind="truncated", reply=reply)
    return text, problem


def _problem(text: str, schema: type[BaseModel] | None) -> str | None:
    if schema is None:
        return None if text.strip() else "the reply is empty"
    try:
        schema.model_validate_json(text)
        check_keys(text)
    except ValidationError as error:
        return _problems(error)
    except RepeatedKey as error:
        return str(error)
    return None


def _cut_off(reply: Reply, request: Request) -> str:
    tokens = reply.usage.completion_tokens
    if tokens is not None and not _reached_max_tokens(reply, request):
        return (
            f"{reply.model} was cut off after {tokens} tokens, short of llm.max_tokens = "
            f"{request.sampling.max_tokens}: raise the context length that the server runs the model with"
        )
    length = f"{tokens} tokens" if tokens else f"{len(reply.text)} characters"
    return f"{reply.model} was cut off at max_tokens after {length}: raise llm.max_tokens"


def _reached_max_tokens(reply: Reply | None, request: Request) -> bool:
    tokens = reply.usage.completion_tokens if reply is not None else None
    return tokens is None or tokens >= request.sampling.max_tokens


def unknown_handles(text: str, schema: type[BaseModel] | None) -> int:
    """1 where a reply of the wrong form names an item by a handle that the prompt does not have, else 0."""
    if schema is None:
        return 0
    try:
        schema.model_validate_json(text)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False, include_input=False)
        return int(any(each["type"] == "literal_error" and each["loc"][-1:] == ("item",) for each in problems))
    return 0


def repair_request(request: Request, wrong: str, problem: str) -> Request:
    """The same conversation, one turn longer: the wrong reply, what is wrong with it, and the form in words.

    A server may have ignored the schema that was sent, and then nothing else names a key of the reply.
    """
    words = f"That reply cannot be used: {problem}. Answer again, with the whole corrected JSON only."
    if request.schema is not None:
        words += in_words(request.schema)
    return replace(
        request, messages=(*request.messages, Message("assistant", wrong[:_MAX_QUOTED]), Message("user", words))
    )


def count(tally: Tally, reply: Reply) -> None:
    """Add what `reply` cost to `tally`."""
    tally.calls += reply.turns
    tally.repairs += reply.repairs
    tally.unmatched += reply.unmatched
    tally.fenced += reply.fenced
    tally.prompt_tokens += reply.usage.prompt_tokens or 0
    tally.completion_tokens += reply.usage.completion_tokens or 0
    if reply.cost is not None:
        tally.cost = (tally.cost or 0.0) + reply.cost
    tally.model = reply.model


def _messages(rendered: Rendered) -> tuple[Message, ...]:
    user = Message("user", rendered.user)
    return (Message("system", rendered.system), user) if rendered.system else (user,)


def _problems(error: ValidationError) -> str:
    problems = [
        f"{'.'.join(str(step) for step in problem['loc']) or 'reply'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    more = f"; and {len(problems) - _MAX_PROBLEMS} more" if len(problems) > _MAX_PROBLEMS else ""
    return "; ".join(problems[:_MAX_PROBLEMS]) + more


def _wrong_form(problem: str, reply: Reply) -> ReplyInvalid:
    return ReplyInvalid(f"{reply.model} answered twice in a wrong form: {redact(problem)}", reply=reply)


def after(first: Reply, second: Reply) -> Reply:
    """The second reply, with the turns, tokens, cost and seconds of both."""
    return replace(
        second,
        turns=first.turns + second.turns,
        repairs=first.repairs + second.repairs,
        unmatched=first.unmatched + second.unmatched,
        usage=Usage(
            _sum(first.usage.prompt_tokens, second.usage.prompt_tokens),
            _sum(first.usage.completion_tokens, second.usage.completion_tokens),
        ),
        cost=None if first.cost is None or second.cost is None else first.cost + second.cost,
        seconds=first.seconds + second.seconds,
    )


def _bare(reply: Reply, text: str) -> Reply:
    """The reply with nothing but its JSON, which is whole however the reply ended."""
    if text.strip() == reply.text.strip():
        return reply if reply.finish_reason != "length" else replace(reply, finish_reason="stop")
    return replace(reply, text=text, fenced=True, finish_reason="stop")


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second
