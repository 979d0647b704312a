"""What the environment decides, and what it is told when it makes no sense."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import Database, InvalidSetting
from tac_orchestrator.settings import Settings, project_root

PREFIX = "TAC_ORCHESTRATOR_"


def settings(**values: str) -> Settings:
    """With these variables and no others; their names are given without the prefix."""
    return Settings.from_environment({f"{PREFIX}{name}": value for name, value in values.items()}, start=Path("/project"))


def test_nothing_needs_to_be_set() -> None:
    found = settings()
    assert found == Settings(database="/project/adws/schema/orchestrator.db")
    assert (found.synchronous, found.redact, found.session_id, found.parent_agent_id) == ("FULL", True, None, None)


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("DB", "/else/where.db", "database", "/else/where.db"),
        ("DB", "relative.db", "database", "relative.db"),
        ("READ_DB", "postgresql://replica/tac", "read_database", "postgresql://replica/tac"),
        ("SYNCHRONOUS", "normal", "synchronous", "NORMAL"),
        ("SYNCHRONOUS", "Full", "synchronous", "FULL"),
        ("BUSY_TIMEOUT", "2.5", "busy_timeout_s", 2.5),
        ("REDACT", "0", "redact", False),
        ("REDACT", "off", "redact", False),
        ("REDACT", "No", "redact", False),
        ("REDACT", "FALSE", "redact", False),
        ("REDACT", "1", "redact", True),
        ("REDACT", "yes", "redact", True),
        ("QUEUE_SIZE", "500", "queue_size", 500),
        ("MAX_TRACE", "100000", "max_trace", 100_000),
        ("SESSION_ID", "issue-42", "session_id", "issue-42"),
        ("AGENT_ID", "550e8400-e29b-41d4-a716-446655440000", "parent_agent_id", "550e8400-e29b-41d4-a716-446655440000"),
    ],
)
def test_a_variable_sets_its_field_and_nothing_else(variable: str, text: str, field: str, value: Any) -> None:
    assert settings(**{variable: text}) == replace(settings(), **{field: value})


def test_every_field_has_a_variable() -> None:
    told = {
        "DB": "x",
        "SYNCHRONOUS": "NORMAL",
        "BUSY_TIMEOUT": "1",
        "REDACT": "0",
        "QUEUE_SIZE": "1",
        "READ_DB": "r",
        "MAX_TRACE": "1",
    }
    changed = settings(**told, SESSION_ID="s", AGENT_ID="a")
    assert [field.name for field in fields(Settings) if getattr(changed, field.name) == getattr(settings(), field.name)] == []


@pytest.mark.parametrize(
    "variable", ["DB", "READ_DB", "SYNCHRONOUS", "BUSY_TIMEOUT", "REDACT", "QUEUE_SIZE", "MAX_TRACE", "SESSION_ID", "AGENT_ID"]
)
def test_a_variable_that_is_empty_is_not_set(variable: str) -> None:
    assert settings(**{variable: ""}) == settings()


@pytest.mark.parametrize(
    ("variable", "text", "expected"),
    [
        ("SYNCHRONOUS", "OFF", "FULL or NORMAL"),
        ("SYNCHRONOUS", "EXTRA", "FULL or NORMAL"),
        *(("BUSY_TIMEOUT", text, "a number above 0 and below a billion") for text in ("soon", "0", "-1", "nan", "inf", "1e9")),
        *(
            ("QUEUE_SIZE", text, "a whole number above 0 and below a billion")
            for text in ("many", "0", "-5", "nan", "inf", "0.5", "10.5")
        ),
        ("REDACT", "maybe", "1 or 0"),
        ("REDACT", "2", "1 or 0"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_with_what_it_takes(variable: str, text: str, expected: str) -> None:
    with pytest.raises(InvalidSetting) as caught:
        settings(**{variable: text})
    assert str(caught.value) == f"{PREFIX}{variable} is {text!r}; it takes {expected}."
    assert (caught.value.name, caught.value.value, caught.value.expected) == (f"{PREFIX}{variable}", text, expected)
    assert isinstance(caught.value, ValueError)


def test_opening_a_store_refuses_it_too(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setenv(f"{PREFIX}REDACT", "perhaps")
    with pytest.raises(InvalidSetting, match="TAC_ORCHESTRATOR_REDACT is 'perhaps'"):
        Database.open(path)
    assert not path.exists()


def test_a_store_in_memory_is_refused() -> None:
    with pytest.raises(InvalidSetting, match="the path of a file"):
        Database.open(":memory:")


@pytest.mark.parametrize("marker", ["adws", ".git"])
@pytest.mark.parametrize("below", ["", "src", "src/deep/down"])
def test_the_project_is_the_nearest_folder_upwards_with_a_marker(tmp_path: Path, marker: str, below: str) -> None:
    project = tmp_path / "outer" / "project"
    (tmp_path / "outer" / ".git").mkdir(parents=True)
    (project / marker).mkdir(parents=True)
    (project / below).mkdir(parents=True, exist_ok=True)
    assert project_root(project / below) == project


def test_a_worktree_is_a_project_where_git_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "worktree" / "src").mkdir(parents=True)
    (tmp_path / "worktree" / ".git").write_text("gitdir: elsewhere\n")
    assert project_root(tmp_path / "worktree" / "src") == tmp_path / "worktree"


def test_a_file_named_adws_is_no_marker(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "adws").write_text("")
    assert project_root(tmp_path / "src") == tmp_path


def test_without_a_marker_the_folder_itself_is_the_project(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert project_root(tmp_path / "a" / "b") == tmp_path / "a" / "b"


def test_a_relative_start_is_one_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project" / "adws").mkdir(parents=True)
    (tmp_path / "project" / "src").mkdir()
    monkeypatch.chdir(tmp_path / "project" / "src")
    assert project_root(Path()) == tmp_path / "project"


def test_the_same_settings_for_another_store(tmp_path: Path) -> None:
    assert settings(REDACT="0").at(tmp_path / "x.db") == replace(settings(REDACT="0"), database=str(tmp_path / "x.db"))
