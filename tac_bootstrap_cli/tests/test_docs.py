"""What the documents say is true: their programs run, and nothing that users can set or call is missing in them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tac_orchestrator.cli.main import SECTIONS
from tac_orchestrator.server.app import create_api

from .reference import reference

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/python.md", "adws/schema/README.md")
_PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?://|#)([^)#]+)[^)]*\)")


def programs() -> list[object]:
    found = list[object]()
    for page in PAGES:
        for number, text in enumerate(_PROGRAM.findall((ROOT / page).read_text("utf-8"))):
            found.append(pytest.param(text, id=f"{page}-{number}"))
    return found


def run(program: str, folder: Path) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("program", programs())
def test_a_program_in_a_document_runs_as_it_stands_there(program: str, tmp_path: Path) -> None:
    run(program, tmp_path)


def test_the_readme_shows_what_its_program_prints(tmp_path: Path) -> None:
    page = (ROOT / "README.md").read_text("utf-8")
    program = _PROGRAM.findall(page)[0]
    assert program == (ROOT / "examples" / "first_run.py").read_text("utf-8")
    printed = run(program, tmp_path)
    assert f"```text\n{printed}```" in page


def test_the_readmes_example_has_25_lines() -> None:
    program: str = _PROGRAM.findall((ROOT / "README.md").read_text("utf-8"))[0]
    assert len([line for line in program.splitlines() if line.strip()]) <= 25


def test_the_reference_is_what_the_commands_say_of_themselves() -> None:
    assert reference() == (ROOT / "docs" / "commands.md").read_text("utf-8"), "scripts/reference writes it anew"


def test_every_setting_is_documented() -> None:
    package = ROOT / "tac_bootstrap_cli" / "tac_orchestrator"
    used = {
        name for file in package.rglob("*.py") for name in re.findall(r"TAC_ORCHESTRATOR_[A-Z_]+\b", file.read_text("utf-8"))
    }
    told = set(
        re.findall(r"^\| `(TAC_ORCHESTRATOR_[A-Z_]+)`", (ROOT / "docs" / "settings.md").read_text("utf-8"), re.MULTILINE)
    )
    assert told == used


def test_every_path_of_the_server_is_documented() -> None:
    page = (ROOT / "docs" / "http.md").read_text("utf-8")
    told = set(re.findall(r"`(/api/[\w{}/-]+)", page))
    assert told - {"/api/live", "/api/openapi"} == set(create_api().openapi()["paths"])


def test_the_changelog_names_the_commands() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    missing = [name for places in SECTIONS.values() for name in places if not re.search(rf"\b{name}\b", changelog)]
    assert missing == []


@pytest.mark.parametrize(
    "page",
    [str(page.relative_to(ROOT)) for page in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "adws/schema/README.md")],
)
def test_a_link_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    assert [link for link in _LINK.findall(text) if not (ROOT / page).parent.joinpath(link).exists()] == []


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "adws/schema/README.md"])
def test_files_that_are_named_exist(page: str) -> None:
    names = set(re.findall(r"`((?:adws|tac_bootstrap_cli|scripts|docs)/[\w./]+\.\w+)`", (ROOT / page).read_text("utf-8")))
    assert [
        name for name in sorted(names) if "NNN" not in name and not name.endswith(".db") and not (ROOT / name).exists()
    ] == []


def test_the_schemas_page_names_every_table_and_column() -> None:
    page = (ROOT / "adws" / "schema" / "README.md").read_text("utf-8")
    schema = (ROOT / "adws" / "schema" / "schema_orchestrator.sql").read_text("utf-8")
    tables = set(re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", schema))
    migrations = {file.name for file in (ROOT / "adws" / "schema" / "migrations").iterdir()}
    assert [name for name in sorted(tables | migrations) if name not in page] == []
