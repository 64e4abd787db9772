"""`openai`: any server that speaks OpenAI's chat completions, hosted or your own (vLLM, Ollama, llama.cpp, SGLang)."""

from __future__ import annotations

import time

from .server import Server
from .types import Chat, Reply, Request
from .wire import Structured, body_of, reply_of


def openai_chat(
    model: str,
    *,
    base_url: str | None = None,
    api_key_env: str | None = "OPENAI_API_KEY",
    timeout: float = 120.0,
    connect_timeout: float = 10.0,
    concurrency: int = 64,
    structured: Structured = "json_schema",
    reasoning: bool = False,
) -> Chat:
    """A Chat over `base_url`; the connection's parameters are those of `Server`, the others those of `body_of`.

    Requests are sent once: the wrappers retry, limit and count. Raises ModelUnavailable, ReplyInvalid ("refused", by a
    content filter), or ConfigError for a refused key or model.
    """
    server = Server(base_url, api_key_env, timeout=timeout, connect_timeout=connect_timeout, concurrency=concurrency)

    async def chat(request: Request) -> Reply:
        began = time.perf_counter()
        raw = await server.post("/chat/completions", body_of(request, model, structured, reasoning))
        return reply_of(raw, model, time.perf_counter() - began)

    return chat
