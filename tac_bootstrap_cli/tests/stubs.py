"""Prints blocking.pyi: what type checkers know of a store without an event loop. `scripts/reference` keeps it; a test compares.

It says what the store's own classes say, as `blocking` turns it round: nothing has to be awaited, and every block is a `with`.
"""

from __future__ import annotations

import builtins
import inspect
import re
import typing
from collections.abc import Iterator
from contextlib import suppress
from types import FunctionType
from typing import Any

from tac_orchestrator import models
from tac_orchestrator.database import Database, Transaction
from tac_orchestrator.runs import AgentRun, PromptRun
from tac_orchestrator.tables.base import Table

_HEAD = '''"""A store without an event loop, for type checkers. Written by `scripts/reference` from the store's own classes."""
'''

_OPEN = """
P = ParamSpec("P")
R = TypeVar("R")

def open_database(
    target: str | Path | None = None, *, create: bool = True, forgiving: bool = False
) -> AbstractContextManager[Database]: ...
"""

_RECORDED = """    def recorded(
        self, name: str, *, agent_type: AgentType = "utility", session_id: str | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...
"""

_IMPORTED = {
    "AbstractContextManager": "contextlib",
    "Callable": "collections.abc",
    "Iterator": "collections.abc",
    "Page": "tac_orchestrator.tables.base",
    "ParamSpec": "typing",
    "Path": "pathlib",
    "RawRow": "tac_orchestrator.engines.base",
    "TypeVar": "typing",
}

# The blocks do what these do; and what only the package itself has to do with.
_LEFT_OUT = {"open", "connect", "close", "leave", "let_go"}
_INNER = re.compile(r"\b(Statement|Recorder|Engine|Outcome|Feed|Leases|Sources|Spans)\b")
_ATTRIBUTES: dict[type, dict[str, str]] = {
    AgentRun: {"id": "str", "session_id": "str"},
    PromptRun: {"id": "str", "prompt_text": "str"},
}
_TURNED = {"AbstractAsyncContextManager": "AbstractContextManager", "AsyncIterator": "Iterator", "AsyncGenerator": "Iterator"}
_WIDTH = 128


def stub() -> str:
    database = Database.open("unused.db")
    tables = {type(value) for value in vars(database).values()} | {type(value) for value in vars(_transaction()).values()}
    kinds = [each for each in tables if issubclass(each, Table) and not _INNER.fullmatch(each.__name__)]
    kinds = sorted({*kinds, AgentRun, PromptRun, Transaction}, key=lambda kind: kind.__name__)
    own = {kind.__name__ for kind in (*kinds, Database)}
    text = "\n".join([*(_class(kind) for kind in kinds), _class(Database, database)])
    return _HEAD + "\n" + _imports(text + _OPEN, own, kinds) + _OPEN + "\n" + text


def _transaction() -> Transaction:
    database: Any = Database.open("unused.db")
    return Transaction(database.engine, database._writer)


def _class(kind: type, instance: object | None = None) -> str:
    attributes = _ATTRIBUTES.get(kind) or _told(instance or (_transaction() if kind is Transaction else None))
    lines = [f"    {name}: {type}\n" for name, type in attributes.items()]
    lines += [_member(name, found, kind) for name, found in _members(kind)]
    return f"class {kind.__name__}:\n" + "".join(line for line in lines if not _INNER.search(line))


def _told(instance: object) -> dict[str, str]:
    attributes = {} if instance is None else vars(instance)
    return {name: type(value).__name__ for name, value in attributes.items() if not name.startswith("_")}


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    found = {name: one for each in reversed(kind.__mro__) if each is not object for name, one in vars(each).items()}
    for name, one in found.items():
        if not name.startswith("_") and name not in _LEFT_OUT and isinstance(one, (FunctionType, property)):
            yield name, one


def _member(name: str, found: Any, kind: type) -> str:
    if name == "recorded":
        return _RECORDED
    function = inspect.unwrap(found.fget if isinstance(found, property) else found)
    signature = inspect.signature(function)
    returned = _returned(str(signature.return_annotation), function, is_block=function is not found, kind=kind)
    parameters = [_parameter(one, kind) for one in signature.parameters.values()]
    for place, one in enumerate(signature.parameters.values()):
        if one.kind is one.KEYWORD_ONLY and not any(each.startswith("*") for each in parameters[:place]):
            parameters.insert(place, "*")
            break
    head = "    @property\n" if isinstance(found, property) else ""
    line = f"    def {name}({', '.join(parameters)}) -> {returned}: ..."
    if len(line) <= _WIDTH:
        return f"{head}{line}\n"
    inner = ", ".join(parameters)
    if len(inner) + 8 <= _WIDTH:
        return f"{head}    def {name}(\n        {inner}\n    ) -> {returned}: ...\n"
    return f"{head}    def {name}(\n" + "".join(f"        {one},\n" for one in parameters) + f"    ) -> {returned}: ...\n"


def _parameter(one: inspect.Parameter, kind: type) -> str:
    stars = {one.VAR_POSITIONAL: "*", one.VAR_KEYWORD: "**"}.get(one.kind, "")
    if one.annotation is one.empty:
        return stars + one.name
    default = "" if one.default is one.empty else f" = {_shown(one.default)}"
    return f"{stars}{one.name}: {_substituted(one.annotation, kind)}{default}"


def _shown(default: Any) -> str:
    return f'"{default}"' if isinstance(default, str) else repr(default)


def _returned(text: str, function: FunctionType, *, is_block: bool, kind: type) -> str:
    text = _substituted(text, kind)
    if is_block and inspect.isasyncgenfunction(function):
        text = re.sub(r"^AsyncGenerator\[(.*)\]$", r"AbstractContextManager[\1]", text)
    for asynchronous, turned in _TURNED.items():
        text = text.replace(asynchronous, turned)
    text = re.sub(r"^Awaitable\[(.*)\]$", r"\1", text)
    return "AbstractContextManager[PromptRun]" if text == "PromptRun" else text


def _substituted(text: str, kind: type) -> str:
    model = getattr(kind, "model", None)
    return text if model is None else re.sub(r"\b[ML]\b", model.__name__, text)


def _imports(text: str, own: set[str], kinds: list[type]) -> str:
    names = set(re.findall(r"(?<![\w.\"])(?:[A-Z]\w+|datetime)(?![\w\"]*\")", text)) - own
    homes: dict[str, set[str]] = {}
    for name in sorted(names):
        home = _home(name, kinds)
        if home is not None:
            homes.setdefault(home, set()).add(name)
    lines = [_import_line(home, sorted(homes[home])) for home in sorted(homes, key=lambda one: (one.startswith("tac_"), one))]
    first_ours = next((place for place, line in enumerate(lines) if line.startswith("from tac_")), len(lines))
    lines.insert(first_ours, "")
    return "\n".join(lines) + "\n"


def _import_line(home: str, names: list[str]) -> str:
    line = f"from {home} import {', '.join(names)}"
    return line if len(line) <= _WIDTH else f"from {home} import (\n" + "".join(f"    {name},\n" for name in names) + ")"


def _home(name: str, kinds: list[type]) -> str | None:
    if name in _IMPORTED:
        return _IMPORTED[name]
    if hasattr(models, name) and not hasattr(typing, name) and not hasattr(builtins, name):
        return _where(getattr(models, name), name, models.__name__)
    for kind in (*kinds, *(base for each in kinds for base in each.__mro__), Database):
        for function in vars(kind).values():
            with suppress(AttributeError):
                found = inspect.unwrap(function).__globals__
                if name in found and not inspect.ismodule(found[name]):
                    return _where(found[name], name, found["__name__"])
    return None


def _where(value: Any, name: str, otherwise: str) -> str:
    home = getattr(value, "__module__", None)
    is_told = getattr(value, "__name__", None) == name and isinstance(home, str)
    return home if is_told and home else otherwise


if __name__ == "__main__":
    print(stub(), end="")
