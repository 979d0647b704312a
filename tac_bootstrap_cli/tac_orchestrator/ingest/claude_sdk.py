"""The Claude Agent SDK: its messages are recorded while they pass.

    async for message in recorded(query(prompt=prompt), prompt=prompt):      # the project's own store; or store="runs.db"
        ...

They say what Claude Code prints as stream-json, and are read as that: output tokens of a request are not final in them, nor
does the prompt stand in them; transcripts that are imported later add what is missing, to the same rows. Nobody waits for the
store before the last message, and none of its troubles comes through. To import this, the SDK need not be installed.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import suppress
from typing import Any, TypeVar, cast

import anyio
import anyio.to_thread
import orjson

from tac_orchestrator.database import Database
from tac_orchestrator.ingest.background import BackgroundIntake, Target
from tac_orchestrator.ingest.claude_code.piped import Heard, StreamRecorder
from tac_orchestrator.ingest.values import as_json
from tac_orchestrator.models import MAX_TEXT

M = TypeVar("M")
Json = dict[str, Any]

_LOG = logging.getLogger("tac_orchestrator")

_END = b""
_PASSED = b"\n"
_LONGEST_REST_S = 5.0

_MESSAGES = {"AssistantMessage": "assistant", "UserMessage": "user", "ResultMessage": "result", "StreamEvent": "stream_event"}
_BLOCKS = {"TextBlock": "text", "ThinkingBlock": "thinking", "ToolUseBlock": "tool_use", "ToolResultBlock": "tool_result"}
_RENAMED = {"model_usage": "modelUsage"}


async def recorded(messages: AsyncIterable[M], *, prompt: str | None = None, store: Target = None) -> AsyncGenerator[M]:
    """The same messages. `messages` is what `query` or a client's `receive_response` gives, `prompt` what was asked.

    `store` is None for the project's own, a path, or an open store. When the last message has passed, all are stored.
    """
    tap = _Tap(store)
    if prompt is not None:
        tap.hear({"type": "user", "message": {"role": "user", "content": prompt}})
    try:
        async for message in messages:
            tap.hear(_line_of(message))
            yield message
    finally:
        await tap.close()


class _Tap:
    """Hears on the program's thread, and records on another one."""

    def __init__(self, store: Target) -> None:
        self._intake = BackgroundIntake[bytes](store, self._take)
        self._heard = Heard()
        self._recorder: StreamRecorder | None = None
        self._has_result = False

    def hear(self, line: Json | None) -> None:
        """Never waits and never raises."""
        if line is None:
            return
        self._has_result = self._has_result or line["type"] == "result"
        try:
            self._intake.put(orjson.dumps(as_json(line, longest=MAX_TEXT)) + b"\n")
        except Exception as error:
            with suppress(Exception):
                _LOG.warning("a message is not recorded: %s", error)

    async def close(self) -> None:
        """A session without a result was left. One that has one may have sub-agents that go on."""
        self._intake.put(_PASSED if self._has_result else _END)
        try:
            await anyio.to_thread.run_sync(self._intake.close, abandon_on_cancel=True)
        except BaseException:
            # Who is cancelled does not wait. Perhaps nobody has begun to close it, and its threads would stay.
            threading.Thread(target=self._intake.close, name="tac-orchestrator-tap", daemon=True).start()
            raise

    async def _take(self, database: Database, lines: list[bytes]) -> None:
        began = time.monotonic()
        self._recorder = self._recorder or StreamRecorder(database, self._heard)
        for line in lines:
            if line == _END:
                self._heard.end()
            elif line != _PASSED:
                self._heard.hear(line)
        await self._recorder.attempt()
        if _PASSED in lines:
            await self._recorder.let_go()
        if not self._intake.is_closing:  # a long session takes longer to store, and rests longer in between
            await asyncio.sleep(min(4 * (time.monotonic() - began), _LONGEST_REST_S))


def _line_of(message: Any) -> Json | None:
    """As Claude Code prints it. None for a kind that is not known."""
    with suppress(Exception):
        data = getattr(message, "data", None)
        if isinstance(data, dict) and hasattr(message, "subtype"):
            return {"type": "system", **cast(Json, data)}
        kind, told = _MESSAGES.get(type(message).__name__), _fields(message)
        if kind == "assistant":
            return _answer(told)
        if kind == "user":
            content = {"role": "user", "content": _content(told.pop("content", None))}
            return {**told, "type": kind, "message": content}
        if kind is not None:
            return {**told, "type": kind}
    return None


def _answer(told: Json) -> Json:
    content = {
        "id": told.get("message_id") or told.get("uuid"),
        "role": "assistant",
        "model": told.get("model"),
        "content": _content(told.get("content")),
        "stop_reason": told.get("stop_reason"),
        "usage": told.get("usage"),
    }
    names = ("parent_tool_use_id", "session_id", "uuid")
    place = {name: told.get(name) for name in names}
    return {**place, "type": "assistant", "message": content, "isApiErrorMessage": told.get("error") is not None}


def _content(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    return [_block(block) for block in cast(list[Any], content)]


def _block(block: Any) -> Json:
    if isinstance(block, dict):
        return cast(Json, block)
    name = type(block).__name__
    return {**_fields(block), "type": _BLOCKS.get(name, name)}


def _fields(value: Any) -> Json:
    told = cast(Json, vars(value))
    return {_RENAMED.get(name, name): item for name, item in told.items() if not name.startswith("_")}
