from __future__ import annotations

import json

import pytest

from tac_orchestrator.cli.harmless import harmless_json, visible, visible_lines


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("plain", "plain"),
        ("naïve 日本語 🙂 👩‍👩‍👧", "naïve 日本語 🙂 👩‍👩‍👧"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x1b]52;c;ZXZpbA==\x1b\\", "\\x1b]52;c;ZXZpbA==\\x1b\\"),
        ("\x9b2J\x90", r"\x9b2J\x90"),
        ("a\rb\nc\td\0e\x7f", r"a\rb\nc\td\x00e\x7f"),
        ("abc\u202edef\u2066g\u2069\u200f", r"abc\u202edef\u2066g\u2069\u200f"),
        ("line\u2028separator", r"line\u2028separator"),
        ("zero\u200bwidth\ufeff", r"zero\u200bwidth\ufeff"),
        ("tag\U000e0041", r"tag\U000e0041"),
        ("lone \ud800", r"lone \ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_what_it_is(stored: str, shown: str) -> None:
    assert visible(stored) == shown


def test_a_long_text_keeps_its_lines() -> None:
    assert visible_lines("one\r\ntwo\n\n\tthree \x1b[2J\rfour") == ["one", "two", "", r"    three \x1b[2J\rfour"]


def test_json_keeps_its_meaning() -> None:
    value = {"text": "\x9b31m \x7f \u202e \U000e0041 \x1b \n ü"}

    harmless = harmless_json(json.dumps(value, ensure_ascii=False))

    assert json.loads(harmless) == value
    assert harmless == r'{"text": "\u009b31m \u007f \u202e \udb40\udc41 \u001b \n ü"}'
