"""Every provider keeps the contract."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from recloop.agents.chat.cached import cached
from recloop.agents.chat.litellm_chat import litellm_chat
from recloop.agents.chat.loopback import Loopback
from recloop.agents.chat.offline import offline_chat
from recloop.agents.chat.openai_chat import openai_chat
from recloop.agents.chat.replay import replay_chat
from recloop.agents.chat.replies import Replies
from recloop.agents.chat.scripted import scripted_chat
from recloop.agents.chat.types import Chat, Request
from recloop.errors import ConfigError, DataError, ReplayMiss

from tests.agents.chat_contract import ChatContract


def kite_lover(request: Request) -> str:
    ranking = [{"item": handle, "score": 0.5} for handle in "ABC"]
    return json.dumps({"reason": request.messages[1].content, "ranking": ranking})


class TestScripted(ChatContract):
    @pytest.fixture
    def chat(self) -> Chat:
        return scripted_chat(kite_lover)


class TestOffline(ChatContract):
    @pytest.fixture
    def chat(self) -> Chat:
        return offline_chat()


class TestOpenAI(ChatContract):
    @pytest.fixture(params=["json_schema", "json_object", "prompt"])
    async def chat(self, request: pytest.FixtureRequest, server: Loopback) -> Chat:
        return openai_chat("m", base_url=server.url, api_key_env=None, structured=request.param)


class TestLitellm(ChatContract):
    @pytest.fixture
    async def chat(self, server: Loopback, monkeypatch: pytest.MonkeyPatch) -> Chat:
        monkeypatch.setenv("LOOPBACK_API_KEY", "any-key-at-all")
        return litellm_chat("openai/m", base_url=server.url, api_key_env="LOOPBACK_API_KEY")


class TestReplay(ChatContract):
    @pytest.fixture
    async def chat(self, replies: Replies, tmp_path: Path) -> Chat:
        recorder = cached(scripted_chat(kite_lover), replies, endpoint="e", model="m")
        for number in range(10):
            await recorder(self.rank(number))
        replies.export(tmp_path / "replay.jsonl")
        return replay_chat(tmp_path / "replay.jsonl")

    async def test_a_miss_says_what_differs(self, chat: Chat) -> None:
        with pytest.raises(ReplayMiss, match=r"messages\[1\].*character 15: .*kites \(77\)"):
            await chat(self.rank(77))

    def test_a_torn_replay_file_is_named_with_its_line(self, tmp_path: Path) -> None:
        torn = tmp_path / "torn.jsonl"
        torn.write_text('{"question": {"model"')
        with pytest.raises(DataError, match=r"torn\.jsonl, line 1"):
            replay_chat(torn)

    async def test_two_models_in_one_file_must_be_told_apart(self, replies: Replies, tmp_path: Path) -> None:
        for model in ("small", "large"):
            await cached(scripted_chat(kite_lover, model=model), replies, endpoint="e", model=model)(self.rank())
        replies.export(tmp_path / "both.jsonl")
        with pytest.raises(ConfigError, match=r"large, small"):
            replay_chat(tmp_path / "both.jsonl")
        assert (await replay_chat(tmp_path / "both.jsonl", model="large")(self.rank())).model == "large"


async def test_a_script_that_has_run_out_says_so() -> None:
    chat = scripted_chat(["one"])
    request = ChatContract().rank()
    assert (await chat(request)).text == "one"
    with pytest.raises(ReplayMiss, match="holds 1 replies"):
        await chat(request)


def test_litellm_and_openai_are_imported_only_when_chosen() -> None:
    program = "import sys, recloop.agents.chat.build; print([m for m in ('openai', 'litellm') if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
