"""A server on loopback that scores prompts with a small model, in the two forms that vLLM has (read in its sources)."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any

import torch
from aiohttp import web
from recloop.agents.chat.local.model import LocalModel


class ScoringServer:
    """Use it in an `async with`; `url` is what goes into `llm.base_url`. `fail` refuses as many requests first."""

    def __init__(
        self, model: LocalModel, *, fail: int = 0, status: int = 503, silent: bool = False, delay: float = 0.0
    ) -> None:
        self.model = model
        self.fail = fail
        self.status = status
        self.silent = silent
        """Answers without any log-probabilities, as servers do that ignore what they do not know."""
        self.delay = delay
        """Seconds that a request is held before it is answered."""
        self.in_flight = 0
        self.most_in_flight = 0
        self.bodies: list[dict[str, Any]] = []
        self.url = ""

    async def __aenter__(self) -> ScoringServer:
        app = web.Application()
        app.router.add_post("/v1/completions", self._completion)
        app.router.add_post("/v1/chat/completions", self._chat)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _completion(self, http: web.Request) -> web.Response:
        body = await http.json()
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(self.delay)
        self.in_flight -= 1
        return self._answered(body, body["prompt"], True)

    async def _chat(self, http: web.Request) -> web.Response:
        body = await http.json()
        assert body["add_generation_prompt"] is False
        assert body["continue_final_message"] is True
        text = self.model.tokenizer.apply_chat_template(
            body["messages"], tokenize=False, add_generation_prompt=False, continue_final_message=True
        )
        return self._answered(body, text, False)

    def _answered(self, body: dict[str, Any], text: str, special: bool) -> web.Response:
        self.bodies.append(body)
        if self.fail:
            self.fail -= 1
            return web.json_response({"error": {"message": "busy"}}, status=self.status)
        ids = self.model.tokenizer(text, add_special_tokens=special)["input_ids"]
        with torch.no_grad():
            logprobs = torch.log_softmax(self.model.network(input_ids=torch.tensor([ids])).logits[0], -1)
        values = [None, *(float(logprobs[at - 1, ids[at]]) for at in range(1, len(ids)))]
        spelt = [self.model.tokenizer.decode([token]) for token in ids]
        choice: dict[str, Any] = {"index": 0, "text": "!", "finish_reason": "length"}
        payload: dict[str, Any] = {"choices": [choice], "usage": {"completion_tokens": 1}}
        if self.silent:
            return web.json_response(payload)
        if body.get("echo"):
            choice["logprobs"] = {"tokens": [*spelt, "!"], "token_logprobs": [*values, -1.0]}
            return web.json_response(payload)
        places = [
            None if value is None else {str(token): {"logprob": value, "rank": 1, "decoded_token": word}}
            for token, value, word in zip(ids, values, spelt, strict=True)
        ]
        # Beside the choices in a chat completion, within them in a completion.
        (payload if "messages" in body else choice)["prompt_logprobs"] = places
        return web.json_response(payload)
