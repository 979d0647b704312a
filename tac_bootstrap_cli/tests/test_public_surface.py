"""What users may import: a sorted list and nothing by accident, every name of it documented, every function typed."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from importlib.resources import files
from types import FunctionType
from typing import Any

import pytest

import tac_orchestrator

from .stubs import stub

DOORS = ("tac_orchestrator", "tac_orchestrator.blocking", "tac_orchestrator.manager", "tac_orchestrator.testing")
"""The modules that people import from."""


def public(door: str) -> dict[str, Any]:
    module = import_module(door)
    return {name: getattr(module, name) for name in module.__all__}


PUBLIC = [(door, name) for door in DOORS for name in import_module(door).__all__]


def functions(thing: Any) -> Iterator[FunctionType]:
    """A function, or the methods that a class of ours gives to its users."""
    if inspect.isfunction(thing):
        yield thing
    elif inspect.isclass(thing):
        members = {
            name: member for each in thing.__mro__ if each.__module__.startswith("tac_") for name, member in vars(each).items()
        }
        for name, member in members.items():
            plain = getattr(member, "__func__", None) or getattr(member, "fget", None) or member
            if inspect.isfunction(plain) and plain.__module__.startswith("tac_") and not name.startswith("_"):
                yield inspect.unwrap(plain)


@pytest.mark.parametrize("door", DOORS)
def test_the_list_of_public_names_is_sorted_and_has_none_twice(door: str) -> None:
    names = import_module(door).__all__
    assert list(names) == sorted(set(names))


def test_nothing_is_public_by_accident() -> None:
    loaded = {name for name in vars(tac_orchestrator) if not name.startswith("_")}
    modules = {name for name in loaded if inspect.ismodule(getattr(tac_orchestrator, name))}
    assert loaded - modules - set(tac_orchestrator.__all__) <= {"TYPE_CHECKING", "VERSION", "import_module"}
    assert {name for name in dir(tac_orchestrator) if not name.startswith("_")} >= set(tac_orchestrator.__all__) - {
        "__version__"
    }


@pytest.mark.parametrize(("door", "name"), PUBLIC)
def test_a_public_class_or_function_says_what_it_is_for(door: str, name: str) -> None:
    thing = public(door)[name]
    if inspect.isclass(thing) or inspect.isfunction(thing):
        assert thing.__doc__
        assert thing.__doc__ != getattr(thing.__mro__[1], "__doc__", None) if inspect.isclass(thing) else True


@pytest.mark.parametrize(("door", "name"), PUBLIC)
def test_a_public_function_is_typed(door: str, name: str) -> None:
    for function in functions(public(door)[name]):
        signature = inspect.signature(function)
        untyped = [
            each for each, one in signature.parameters.items() if one.annotation is one.empty and each not in {"self", "cls"}
        ]
        assert untyped == [], function.__qualname__
        assert signature.return_annotation is not signature.empty, function.__qualname__


def test_type_checkers_know_what_a_store_without_a_loop_has() -> None:
    told = files("tac_orchestrator").joinpath("blocking.pyi").read_text("utf-8")
    assert stub() == told, "scripts/reference writes it anew"


def test_type_checkers_are_told_that_it_is_typed() -> None:
    assert files("tac_orchestrator").joinpath("py.typed").is_file()
