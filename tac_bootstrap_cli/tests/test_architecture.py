"""The house as ARCHITECTURE.md draws it. Layers are import-linter's, see pyproject.toml."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tac_bootstrap_cli" / "tac_orchestrator"
SOURCES = sorted(PACKAGE.rglob("*.py"))
_SQL = re.compile(r"^\s*(SELECT|INSERT INTO|UPDATE \w+ SET|DELETE FROM|CREATE TABLE)\b")
_DRIVERS = {"sqlite3", "pysqlite3", "aiosqlite", "asyncpg", "psycopg"}


def imported(file: Path) -> set[str]:
    tree = ast.parse(file.read_text("utf-8"))
    direct = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    return direct | {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}


def functions(file: Path) -> Iterator[tuple[str, int]]:
    """Each function, and how many lines it has without its docstring."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.end_lineno is not None:
            body = node.body[1:] if ast.get_docstring(node) is not None and len(node.body) > 1 else node.body
            yield f"{file.relative_to(PACKAGE)}:{node.name}", node.end_lineno - body[0].lineno + 1


def test_only_engines_know_a_driver() -> None:
    outside = [file for file in SOURCES if "engines" not in file.parts]
    knowing = [str(file) for file in outside if {name.partition(".")[0] for name in imported(file)} & _DRIVERS]
    assert knowing == []


def test_sql_is_in_files_of_its_own() -> None:
    """But for the statements that an export consists of, which are nobody's query."""
    found = list[str]()
    for file in SOURCES:
        if "engines" in file.parts or file == PACKAGE / "ops" / "formats.py":
            continue
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SQL.match(node.value):
                found.append(f"{file.relative_to(PACKAGE)}:{node.lineno}")
    assert found == []


def test_every_command_heeds_an_interrupt() -> None:
    runners = [file for file in SOURCES if file.parent.name == "cli" and "asyncio.run(" in file.read_text("utf-8")]

    assert [file.name for file in runners] == ["interrupts.py"]


def test_files_are_short() -> None:
    assert [str(file) for file in SOURCES if len(file.read_text("utf-8").splitlines()) > 500] == []


def test_functions_are_short() -> None:
    lengths = sorted(length for file in SOURCES for _, length in functions(file))
    assert lengths[len(lengths) // 2] <= 8
    assert lengths[len(lengths) * 95 // 100] <= 40
    assert [name for file in SOURCES for name, length in functions(file) if length > 60] == []


def test_the_modules_of_a_project_use_public_names_only() -> None:
    for file in (ROOT / "adws" / "adw_modules").glob("*.py"):
        names = {name for name in imported(file) if name.startswith("tac_orchestrator")}
        assert names <= {"tac_orchestrator", "tac_orchestrator.manager", "tac_orchestrator.models"}, file.name


def test_every_file_says_what_it_is_for() -> None:
    silent = [
        file
        for file in SOURCES
        if file.read_text("utf-8").strip() and not ast.get_docstring(ast.parse(file.read_text("utf-8")))
    ]
    assert [str(file.relative_to(PACKAGE)) for file in silent] == []
