"""What models are told and what they answer, in whichever of the usual shapes: parts, OpenAI's, Anthropic's, Bedrock's.

Of a request, only what is new in it is wanted: what came after the model spoke last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import orjson

from tac_orchestrator.models import dump_json

Json = dict[str, Any]

_SPEAKERS = frozenset(("assistant", "model", "ai"))
_COMMAND = re.compile(r"\s*/([A-Za-z][\w:-]*)(?=\s|$)")
_DEEPEST = 100
_ARGUMENTS = 20_000


@dataclass(slots=True)
class Message:
    role: str
    texts: list[str] = field(default_factory=list[str])
    calls: list[list[str]] = field(default_factory=list[list[str]])
    results: list[str] = field(default_factory=list[str])
    is_result: bool = False
    is_failed: bool = False

    @property
    def text(self) -> str:
        return "\n".join(self.texts)


@dataclass(slots=True)
class Input:
    """The newest part of what a model was told. `is_first` says that the model had not spoken before."""

    text: str
    trigger: Literal["said", "tool", "failed_tool"] | None
    command: str | None
    results: list[str]


def parsed(value: Any) -> Any:
    """What a text holds as JSON; the value itself, if it is no such text, or nests too deep to be stored."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    if value.count("[") + value.count("{") > _DEEPEST and _nests_deep(value):
        return value
    try:
        return orjson.loads(value)
    except ValueError:
        return value


def messages(value: Any) -> list[Message]:
    found = parsed(value)
    items = cast(list[Any], found) if isinstance(found, list) else [found]
    return [message(cast(Json, item)) for item in items if isinstance(item, dict)]


def newest(value: Any) -> list[Message]:
    """What came after the model spoke last, and its last word: of a conversation, all the rest has been told before."""
    found = parsed(value)
    items = cast(list[Any], found) if isinstance(found, list) else [found]
    told = [cast(Json, item) for item in items if isinstance(item, dict)]
    spoken = max((place for place, item in enumerate(told) if item.get("role") in _SPEAKERS), default=0)
    return [message(item) for item in told[spoken:]]


def message(found: Json, role: str = "user") -> Message:
    """From one object. Whatever has no text is named by its type."""
    told = Message(str(found.get("role") or role))
    content = parsed(found.get("parts", found.get("content", found.get("message"))))
    if isinstance(content, str):
        told.texts.append(content)
    for block in cast(list[Any], content) if isinstance(content, list) else [content]:
        if isinstance(block, dict):
            _take_block(cast(Json, block), told)
        elif isinstance(block, str) and block is not content:
            told.texts.append(block)
    for call in _list(found.get("tool_calls")):
        function = call.get("function") if isinstance(call.get("function"), dict) else call
        _take_call(told, call.get("id"), function.get("name"), function.get("arguments"))  # pyright: ignore[reportOptionalMemberAccess]
    result_of = found.get("tool_call_id") or (found.get("id") if told.role == "tool" else None)
    if told.role == "tool" or result_of:
        told.is_result = True
        told.results += [str(result_of)] if result_of else []
    return told


def newest_input(told: list[Message]) -> Input | None:
    """None if nothing is known of what a model was told."""
    if not told:
        return None
    spoken = [place for place, one in enumerate(told) if one.role in _SPEAKERS]
    fresh = [one for one in told[spoken[-1] + 1 if spoken else 0 :] if one.role not in ("system", "developer")]
    fresh = fresh or told[-1:]
    text = "\n\n".join(one.text for one in fresh if one.texts)
    results = [key for one in told for key in one.results]
    if any(one.is_failed for one in fresh):
        return Input(text, "failed_tool", None, results)
    if any(one.is_result for one in fresh):
        return Input(text, "tool", None, results)
    command = _COMMAND.match(fresh[-1].text)
    return Input(text, "said", command[1] if command else None, results)


def answer(told: Iterable[Message]) -> tuple[str | None, list[list[str]]]:
    """The words of an answer, and the tools that it asks for."""
    told = list(told)
    text = "\n\n".join(one.text for one in told if one.texts)
    return text or None, [call for one in told for call in one.calls]


def text_of(value: Any) -> str | None:
    """Any value as a text that people read."""
    if value is None or isinstance(value, str):
        return value
    try:
        return dump_json(value)
    except ValueError:
        return str(value)


def json_object(value: Any) -> Json:
    found = parsed(value)
    return cast(Json, found) if isinstance(found, dict) else {}


def _take_block(block: Json, told: Message) -> None:
    kind = block.get("type")
    used, result = block.get("toolUse"), block.get("toolResult")
    if isinstance(used, dict):
        call = cast(Json, used)
        _take_call(told, call.get("toolUseId"), call.get("name"), call.get("input"))
    elif isinstance(result, dict):
        found = cast(Json, result)
        _take_result(told, found.get("toolUseId"), found.get("content"), failed=found.get("status") == "error")
    elif kind in ("tool_call", "tool_use", "function_call"):
        _take_call(told, block.get("id", block.get("call_id")), block.get("name"), block.get("arguments", block.get("input")))
    elif kind in ("tool_call_response", "tool_result", "function_call_output"):
        content = next((block[name] for name in ("response", "result", "content", "output") if name in block), None)
        failed = bool(block.get("is_error"))
        _take_result(told, block.get("id", block.get("tool_use_id", block.get("call_id"))), content, failed=failed)
    else:
        text = block.get("text", block.get("content"))
        if isinstance(text, str):
            told.texts.append(text)
        elif isinstance(kind, str):
            told.texts.append(f"[{kind}]")


def _take_call(told: Message, key: Any, name: Any, arguments: Any) -> None:
    told.calls.append([str(key or ""), str(name or "tool"), (text_of(arguments) or "")[:_ARGUMENTS]])


def _take_result(told: Message, key: Any, content: Any, *, failed: bool) -> None:
    told.is_result, told.is_failed = True, told.is_failed or failed
    told.results += [str(key)] if key else []
    inner = message({"content": content}).text if isinstance(content, list) else text_of(content)
    told.texts += [inner] if inner else []


def _list(value: Any) -> list[Json]:
    found = parsed(value)
    return [cast(Json, one) for one in cast(list[Any], found) if isinstance(one, dict)] if isinstance(found, list) else []


def _nests_deep(text: str) -> bool:
    """Whether more brackets may be open at once than are stored. Brackets in texts count as well: it errs on that side."""
    depth = 0
    for sign in re.findall(r"[\[\]{}]", text):
        depth += 1 if sign in "[{" else -1
        if depth > _DEEPEST:
            return True
    return False
