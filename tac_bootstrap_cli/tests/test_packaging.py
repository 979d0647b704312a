"""What pip installs: the wheel, in an environment of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", folder, ROOT], check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has the wheel, and what it depends on from here."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    found = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", found, "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--no-index", wheel], check=True)
    packages = next(folder.glob("lib/*/site-packages"))
    (packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"], "utf-8")
    return found


def test_the_wheel_has_the_schema_and_no_store(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    migrations = {file.name for file in (ROOT / "adws" / "schema" / "migrations").glob("*.sql")}
    assert migrations <= {
        name.rpartition("/")[2] for name in names if name.startswith("tac_orchestrator/adws/schema/migrations/")
    }
    assert "tac_orchestrator/adws/schema/schema_orchestrator.sql" in names
    assert "tac_orchestrator/adws/adw_modules/adw_database.py" in names
    assert [name for name in names if ".db" in name or "__pycache__" in name] == []


def test_the_wheel_has_the_page_built(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    static = {name.removeprefix("tac_orchestrator/server/static/") for name in names if "/server/static/" in name}
    assert {"index.html", "favicon.svg"} < static
    assert {name.rpartition(".")[2] for name in static if name.startswith("assets/")} == {"js", "css"}
    assert [name for name in names if "node_modules" in name or name.endswith((".vue", ".ts"))] == []


def test_the_wheel_takes_no_name_but_its_own(wheel: Path) -> None:
    """A package `adws` or `adw_modules` would hide the user's."""
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"tac_orchestrator"}


def test_an_installed_command_makes_a_project_and_its_store(python: Path, tmp_path: Path) -> None:
    command = python.with_name("tac-orch")
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    subprocess.run([command, "init", tmp_path], cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert (tmp_path / "adws" / "schema" / "orchestrator.db").is_file()
    program = (
        "import sys; sys.path.insert(0, 'adws'); import tac_orchestrator, adw_modules.adw_database as project;"
        "print(tac_orchestrator.__file__, project.DEFAULT_PATH)"
    )
    told = subprocess.run(
        [python, "-c", program], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    ).stdout
    package, store = told.split()
    assert Path(package).is_relative_to(python.parents[1])
    assert Path(store) == tmp_path / "adws" / "schema" / "orchestrator.db"


@pytest.mark.parametrize("name", ["run", "dev"])
def test_what_is_installed_is_locked_by_hash(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
    entries = re.findall(r"^([a-z0-9][\w.-]*)==[^\\\n]*((?:\\\n\s+--hash=sha256:[0-9a-f]{64}\s*)+)", text, re.MULTILINE)
    assert len(entries) == len(re.findall(r"^[a-z0-9][\w.-]*==", text, re.MULTILINE))
    assert "://" not in text
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wanted = [*project["project"]["dependencies"], *(project["dependency-groups"]["dev"] if name == "dev" else [])]
    names = {re.split(r"[^\w.-]", one, maxsplit=1)[0].lower() for one in wanted}
    assert names <= {entry for entry, _ in entries}
