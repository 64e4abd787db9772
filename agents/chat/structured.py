"""`ask`: a rendered prompt in, a validated pydantic object out, with one repair turn for a reply of the wrong form."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel, ValidationError

from ...errors import ReplyInvalid
from .redaction import redact
from .types import Chat, Facts, Message, Reply, Request, Sampling, Usage

if TYPE_CHECKING:
    from ...prompts import Rendered
    from ..agent import Tally, Tools

R = TypeVar("R", bound=BaseModel)

_FENCE = re.compile(r"\s*```(?:json|JSON)?[ \t]*\n?(.*?)\n?[ \t]*```\s*", re.DOTALL)
_THOUGHT = re.compile(r"\s*<think>.*?</think>", re.DOTALL)
# A wrong reply is shown back to the model, and a wrong reply can be of any length.
_SHOWN = 4000
_PROBLEMS_SHOWN = 8
_ASKED = 3
"""Times a question is asked whose reply is cut off or declined."""


async def ask(
    tools: Tools,
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
    tools: Tools,
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
    text, problem = read(first, request.schema)
    if problem is None:
        return _bare(first, text)
    if first.repairs:
        raise _wrong_form(problem, first)
    strange = unshown(text, request.schema)
    answer = await chat(repair_request(request, first.text, problem))
    second = replace(after(first, answer), repairs=1, unmatched=first.unmatched + strange)
    text, problem = read(second, request.schema)
    if problem is not None:
        strange = unshown(text, request.schema)
        raise _wrong_form(problem, replace(second, unmatched=second.unmatched + strange))
    return _bare(second, text)


def repaired(chat: Chat) -> Chat:
    """`chat` with the repair turn inside, so that a cache around it keeps and replays the repaired reply as one.

    A reply that was cut off or declined is asked for again, as it stands, twice at most: models differ from call to
    call even at temperature 0. Half an answer is never completed by us or by the model.
    """

    async def persistent(request: Request) -> Reply:
        spent: Reply | None = None
        asked = 0
        while True:
            asked += 1
            try:
                reply = await valid_reply(chat, request)
            except ReplyInvalid as error:
                if error.reply is not None and spent is not None:
                    error.reply = after(spent, error.reply)
                spent = error.reply = error.reply or spent
                if spent is None or error.kind == "schema" or asked == _ASKED:
                    raise
            else:
                return reply if spent is None else after(spent, reply)

    return persistent


def read(reply: Reply, schema: type[BaseModel] | None) -> tuple[str, str | None]:
    """The reply's JSON text without fence or thoughts, and what is wrong with it (None: nothing).

    Raises ReplyInvalid for a reply that was cut off or declined: neither is a question of form.
    """
    if reply.finish_reason == "length":
        raise ReplyInvalid(
            f"{reply.model} was cut off at max_tokens after {reply.usage.completion_tokens or len(reply.text)} "
            f"{'tokens' if reply.usage.completion_tokens else 'characters'}: raise llm.max_tokens",
            kind="truncated",
            reply=reply,
        )
    if reply.finish_reason == "refusal":
        raise ReplyInvalid(f"{reply.model} declined: {redact(reply.text[:200])}", kind="refused", reply=reply)
    if schema is None:
        return reply.text, None if reply.text.strip() else "the reply is empty"
    text = unfenced(reply.text)
    try:
        schema.model_validate_json(text)
    except ValidationError as error:
        return text, _problems(error)
    return text, None


def unshown(text: str, schema: type[BaseModel] | None) -> int:
    """1 where a reply of the wrong form names an item by a handle that is none of those shown, else 0."""
    if schema is None:
        return 0
    try:
        schema.model_validate_json(text)
    except ValidationError as error:
        told = error.errors(include_url=False, include_context=False, include_input=False)
        return int(any(one["type"] == "literal_error" and one["loc"][-1:] == ("item",) for one in told))
    return 0


def unfenced(text: str) -> str:
    """The JSON inside a Markdown fence or behind a block of thoughts; any other text as it is."""
    if not text.startswith("{"):
        text = _THOUGHT.sub("", text, count=1).strip()
        fenced = _FENCE.fullmatch(text)
        if fenced:
            return fenced[1].strip()
    return text


def repair_request(request: Request, wrong: str, problem: str) -> Request:
    """The same conversation, one turn longer: the wrong reply and what is wrong with it."""
    repair = Message("user", f"That reply cannot be used: {problem}. Answer again, with the whole corrected JSON only.")
    return replace(request, messages=(*request.messages, Message("assistant", wrong[:_SHOWN]), repair))


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
    found = [
        f"{'.'.join(str(step) for step in problem['loc']) or 'reply'}: {problem['msg']}"
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    more = f"; and {len(found) - _PROBLEMS_SHOWN} more" if len(found) > _PROBLEMS_SHOWN else ""
    return "; ".join(found[:_PROBLEMS_SHOWN]) + more


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
    """The reply with nothing but its JSON."""
    return reply if text == reply.text else replace(reply, text=text, fenced=True)


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None or second is None else first + second
