"""What every provider of replies must do; a new one's test is a subclass with a `chat` fixture."""

import asyncio

from recloop.agents.chat.handles import handles_for, ranking_reply
from recloop.agents.chat.structured import valid_reply
from recloop.agents.chat.types import Chat, Facts, Message, Reply, Request, Sampling


class ChatContract:
    """Subclass it and give a fixture `chat` that can answer `rank(n)` for n = 0..9."""

    def rank(self, number: int = 0) -> Request:
        options = {"A": "a kite with a long tail", "B": "a pot of honey", "C": "a chess board"}
        shown = "\n".join(f"{handle}. {text}" for handle, text in options.items())
        return Request(
            messages=(Message("system", "You judge."), Message("user", f"I like kites ({number}).\n{shown}")),
            schema=ranking_reply(handles_for(3)),
            sampling=Sampling(max_tokens=512),
            agent="contract",
            facts=Facts("rank", {"query": f"I like kites ({number}).", "notes": [], "options": options}),
        )

    async def test_a_reply_is_of_the_form_asked_for(self, chat: Chat) -> None:
        request = self.rank()
        reply = await valid_reply(chat, request)
        assert request.schema is not None
        ranked = request.schema.model_validate_json(reply.text)
        assert sorted(entry.item for entry in ranked.ranking) == ["A", "B", "C"]

    async def test_a_reply_says_which_model_gave_it_and_how_it_ended(self, chat: Chat) -> None:
        reply = await chat(self.rank(1))
        assert isinstance(reply, Reply)
        assert reply.model
        assert reply.finish_reason == "stop"
        assert reply.seconds >= 0

    async def test_tokens_are_counted_or_said_to_be_unknown(self, chat: Chat) -> None:
        usage = (await chat(self.rank(2))).usage
        assert usage.prompt_tokens is None or usage.prompt_tokens > 0
        assert usage.completion_tokens is None or usage.completion_tokens > 0

    async def test_replies_do_not_mix_when_many_are_in_flight(self, chat: Chat) -> None:
        alone = [(await chat(self.rank(number))).text for number in range(10)]
        together = await asyncio.gather(*(chat(self.rank(number)) for number in range(10)))
        assert [reply.text for reply in together] == alone

    async def test_a_call_can_be_cancelled_and_the_next_one_answered(self, chat: Chat) -> None:
        call = asyncio.ensure_future(chat(self.rank(3)))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call], timeout=5)
        assert call.done()
        assert (await chat(self.rank(3))).text
