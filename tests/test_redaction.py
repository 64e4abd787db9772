"""No key in a log, an exception or a file."""

import logging

import pytest
from recloop.errors import ConfigError
from recloop.redaction import RedactingFilter, api_key, redact

KEY = "abc123-not-shaped-like-a-key"


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_VENDOR_API_KEY", KEY)
    monkeypatch.setenv("ODDLY_NAMED", "another-private-value")


def test_a_key_of_the_environment_is_taken_out() -> None:
    assert redact(f"header {KEY}, twice {KEY}.") == "header [redacted], twice [redacted]."


def test_a_key_that_was_read_is_known_whatever_its_variable_is_called() -> None:
    assert api_key("ODDLY_NAMED") == "another-private-value"
    assert "another-private" not in redact("sent another-private-value")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abcdefgh12345", "Authorization: Bearer [redacted]"),
        ("https://user:pass@host/v1", "https://[redacted]@host/v1"),
        ("key sk-abcdefghijklmnop is wrong", "key sk-[redacted] is wrong"),
    ],
)
def test_what_looks_like_a_key_is_taken_out(text: str, shown: str) -> None:
    assert redact(text) == shown


def test_an_ordinary_text_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEBUG_TOKEN", "1")
    text = "The ask-me-anything bearer of 1 token visits http://127.0.0.1:8000/v1"
    assert redact(text) == text


def test_a_log_record_and_its_exception_are_redacted(caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(RedactingFilter())
    try:
        raise ValueError(f"refused {KEY}")
    except ValueError:
        logging.getLogger("vendor").exception("with %s", KEY)
    assert KEY not in caplog.text
    assert caplog.text.count("[redacted]") >= 2


def test_a_key_that_is_wanted_and_not_set_is_named() -> None:
    with pytest.raises(ConfigError, match="NOT_SET_ANYWHERE"):
        api_key("NOT_SET_ANYWHERE")
    assert api_key(None) is None
