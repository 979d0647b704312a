"""What docs/frameworks.md says to write and to install is what the tested programs write, with the versions that they have."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .test_frameworks import APART, PROGRAMS, ROOT

PAGE = (ROOT / "docs" / "frameworks.md").read_text("utf-8")
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TRIED = re.compile(r"`([\w-]+)`\s([0-9][\w.]*[0-9])")

OWN_SETUP = "langgraph"
"""The program that sets OpenTelemetry up itself."""


def lines_of(text: str) -> list[str]:
    return [line.partition("  #")[0] for line in text.splitlines() if line]


def has(name: str, recipe: list[str]) -> bool:
    """Whether a program has these lines. It may import more from where they import from."""
    written = lines_of((PROGRAMS / f"with_{name}.py").read_text("utf-8"))
    imports = dict(line.split(" import ") for line in written if line.startswith("from "))
    for line in recipe:
        place, _, wanted = line.partition(" import ")
        if line not in written and wanted not in imports.get(place, "").split(", "):
            return False
    return True


def block_with(text: str) -> list[str]:
    return next(lines_of(block) for block in _BLOCK.findall(PAGE) if text in block)


def rows() -> dict[str, list[str]]:
    """The table of recipes: the package and the line more of each framework, without the marks."""
    found = re.findall(r"^\| \[(.+?)\]\(#.+?\) \| (.*?) ?\| (.*?) ?\|$", PAGE, re.MULTILINE)
    return {name: [cell.strip("`") for cell in cells] for name, *cells in found}


def locked(lock: Path) -> set[tuple[str, str]]:
    return set(re.findall(r"^([\w-]+)==([\w.]+)", lock.read_text("utf-8"), re.MULTILINE))


@pytest.mark.parametrize("name", [name for name in APART if name not in (OWN_SETUP, "openai_agents")])
def test_a_program_has_the_two_lines_of_its_recipe(name: str) -> None:
    assert has(name, block_with("initialize()"))


def test_the_other_recipes_are_those_of_their_programs() -> None:
    assert has(OWN_SETUP, block_with("TracerProvider()"))
    assert has("openai_agents", block_with("RecordingProcessor()"))


def test_the_line_more_is_in_the_program_and_its_package_in_the_lock() -> None:
    programs = {
        "pydantic-ai": "pydantic_ai",
        "LangChain, LangGraph": "langchain",
        "smolagents": "smolagents",
        "Google ADK": "google_adk",
        "LlamaIndex": "llama_index",
        "CrewAI": "crewai",
    }
    table = rows()
    assert list(table) == list(programs)
    for framework, (package, line) in table.items():
        name = programs[framework]
        packages = {package for package, _ in locked(ROOT / "requirements" / f"{APART[name]}.txt")}
        assert not package or package in packages
        assert not line or has(name, [line])


def test_the_versions_that_were_tried_are_those_that_are_installed() -> None:
    tried = set(_TRIED.findall(PAGE))
    assert len(tried) >= len(APART)
    assert tried <= locked(ROOT / "requirements" / "frameworks.txt") | locked(ROOT / "requirements" / "frameworks-long.txt")
