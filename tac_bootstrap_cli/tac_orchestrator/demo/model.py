"""The model of the demonstration: it answers from files, always the same, and says so.

Tokens are counted as one for four characters, and priced as those of the model whose name is recorded.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

MODEL = "claude-sonnet-4-5"

_CHARACTERS_A_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Answer:
    text: str
    tokens_input: int
    tokens_output: int


def ask(prompt: str, answer: str) -> Answer:
    """`answer` is the name of the file that holds what the model would say."""
    text = (files("tac_orchestrator.demo") / "answers" / answer).read_text("utf-8")
    return Answer(text, _tokens(prompt), _tokens(text))


def _tokens(text: str) -> int:
    return max(1, len(text) // _CHARACTERS_A_TOKEN)
