"""Makes stored text harmless to look at.

What agents, models and tools have written may hold signs that a terminal obeys (escape sequences that set its title, move its
cursor or write to the clipboard), that reverse the order in which text is read, or that nobody sees. They are shown as what
they are, `\\x1b`, everywhere.
"""

from __future__ import annotations

import json
import re

_CONTROLS = r"\x00-\x1f\x7f-\x9f"
_SEPARATORS = r"\u2028\u2029"
_DIRECTIONS = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u206f"
_UNSEEN = r"\u200b\u2060-\u2065\ufeff\ufff9-\ufffb\U000e0000-\U000e007f"
_SURROGATES = r"\ud800-\udfff"

_HARMFUL = re.compile(f"[{_CONTROLS}{_SEPARATORS}{_DIRECTIONS}{_UNSEEN}{_SURROGATES}]")


def visible(text: str) -> str:
    """The text on one line."""
    return text if text.isprintable() else _HARMFUL.sub(_escaped, text)


def visible_lines(text: str) -> list[str]:
    """The text, line by line."""
    return [visible(line.expandtabs(4)) for line in text.replace("\r\n", "\n").split("\n")]


def harmless_json(text: str) -> str:
    """The same JSON, in which harmful signs are written as JSON escapes. They only ever stand in strings."""
    return text if text.isprintable() else _HARMFUL.sub(_json_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def _json_escaped(match: re.Match[str]) -> str:
    return match[0] if match[0] == "\n" else json.dumps(match[0])[1:-1]
