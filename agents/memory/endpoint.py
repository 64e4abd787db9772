"""Embeddings from any OpenAI-compatible server (`POST {base_url}/embeddings`): hosted, vLLM, Ollama, llama.cpp."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from ...errors import ConfigError, ModelUnavailable
from .memory import Embedder
from .vector_cache import VectorCache

if TYPE_CHECKING:
    from openai import OpenAI


class _Endpoint:
    def __init__(self, client: OpenAI, model: str, *, secret: str, batch_size: int, attempts: int) -> None:
        self.name = f"endpoint:{model}"
        self._client = client
        self._model = model
        self._secret = secret
        self._batch_size = batch_size
        self._retrying = Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, ModelUnavailable) and error.retryable),
            stop=stop_after_attempt(attempts),
            wait=wait_random_exponential(multiplier=0.25, max=20.0),
            reraise=True,
        )

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        # Servers refuse an empty input, and it says nothing: it stays a zero row and is not sent.
        nonempty = [at for at, text in enumerate(texts) if text.strip()]
        sent = [texts[at] for at in nonempty] or ["-"]  # one sign, to learn how many columns a zero row has
        starts = range(0, len(sent), self._batch_size)
        vectors = np.concatenate([self._retrying(self._ask, sent[at : at + self._batch_size]) for at in starts])
        rows = np.zeros((len(texts), vectors.shape[1]), dtype=np.float32)
        rows[nonempty] = vectors[: len(nonempty)]
        return rows

    def _ask(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        import openai

        try:
            # Plain floats: the client would ask for base64 otherwise, which many compatible servers do not speak.
            reply = self._client.embeddings.create(model=self._model, input=list(texts), encoding_format="float")
        except openai.APIStatusError as error:
            status = error.status_code
            raise ModelUnavailable(
                self._message(f"answered {status}: {error.message}"),
                retryable=status in (408, 409, 429) or status >= 500,
                status=status,
            ) from None
        except openai.APIConnectionError as error:
            raise ModelUnavailable(self._message(f"could not be reached: {error}"), retryable=True) from None
        except (openai.OpenAIError, ValueError) as error:  # ValueError: a body that is no JSON, or of another form
            raise ModelUnavailable(self._message(f"answered in another form: {error}")) from None
        try:
            given = {item.index: item.embedding for item in reply.data}
            vectors = np.array([given[at] for at in range(len(texts))], dtype=np.float32)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ModelUnavailable(self._message(f"did not give {len(texts)} vectors: {error!r}")) from None
        if vectors.ndim != 2 or not vectors.size or not np.isfinite(vectors).all():
            raise ModelUnavailable(self._message("gave vectors that are empty or hold what is no number"))
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)

    def _message(self, what: str) -> str:
        """The message without the key, which some servers repeat in their refusals."""
        text = f"embeddings of {self._model!r} at {self._client.base_url}: the server {what}"
        return text.replace(self._secret, "***") if self._secret else text


def embedding_endpoint(
    base_url: str,
    model: str,
    api_key_env: str = "OPENAI_API_KEY",
    *,
    batch_size: int = 256,
    timeout: float = 60.0,
    attempts: int = 4,
    held: int = 20_000,
) -> Embedder:
    """Vectors of a server's model. The key is read from the environment variable named; local servers need none.

    `batch_size` is in texts a request, `timeout` in seconds a request, `attempts` counts the first one. Raises
    ConfigError where the address is not one, ModelUnavailable where the server gives no vectors.
    """
    if not base_url.startswith(("http://", "https://")):
        raise ConfigError(f"base_url {base_url!r} is no http address: name one such as 'http://127.0.0.1:8000/v1'")
    import openai  # 0.7 s, which only this embedder need pay

    secret = os.environ.get(api_key_env, "")
    client = openai.OpenAI(base_url=base_url, api_key=secret or "none", timeout=timeout, max_retries=0)
    return VectorCache(_Endpoint(client, model, secret=secret, batch_size=batch_size, attempts=attempts), held)
