"""The modules that scripts of a project import: each test is a project with a script, which is run as its user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from textwrap import dedent

import pytest

from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.ops.project import prepare_project

ROOT = Path(__file__).parents[2]

HEAD = """
import asyncio, json, os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
"""

WORKFLOW = (
    HEAD
    + """
from datetime import datetime
from adw_modules.adw_database import DatabaseManager

async def main():
    async with DatabaseManager() as db:
        kind = await db.create_orchestrator_agent(
            name="sdlc_planner", description="Plans", agent_type="planner",
            capabilities="plan,estimate", default_model="claude-opus-5-5",
        )
        agent_id = await db.create_agent(orchestrator_agent_id=kind, session_id="issue-42", status="executing")
        await db.create_agent_log(agent_id, "INFO", "milestone", "Workflow started")
        prompt_id = await db.create_prompt(agent_id, "adw", "Plan issue 42", prompt_name="/plan", model_used="claude-opus-5-5")
        await db.update_prompt(
            prompt_id, status="completed", response_text="Planned.", tokens_input=1000, tokens_output=100,
            latency_ms=1200, completed_at=datetime.utcnow().isoformat(),
        )
        await db.log_agent_event(agent_id=agent_id, log_type="milestone", message="done", metadata={"files": 3})
        await db.update_agent(agent_id, status="completed", completed_at=datetime.utcnow().isoformat())
        await db.create_system_log("INFO", "orchestrator", "All agents completed", details={"agents": 1})
        async with db.conn.execute("SELECT COUNT(*) AS n FROM prompts") as cursor:
            count = (await cursor.fetchone())["n"]
        agent = await db.get_agent(agent_id)
        logs = await db.get_agent_logs_by_type(agent_id, "milestone")
        print(json.dumps({
            "status": agent["status"], "cost": agent["cost_usd"], "prompts": count, "logs": [log["details"] for log in logs],
        }))

asyncio.run(main())
"""
)


def write_script(project: Path, text: str) -> Path:
    script = project / "adws" / "adw_workflows" / "adw_plan.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(dedent(text))
    return script


def run(script: Path, cwd: Path, *arguments: object, **environment: str) -> str:
    """What it prints. Naive UTC times are what such scripts make, deprecated or not; every other warning is an error."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("TAC_ORCHESTRATOR", "PYTHON"))}
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-W",
            "ignore:datetime.datetime.utcnow:DeprecationWarning",
            script,
            *map(str, arguments),
        ],
        cwd=cwd,
        env=clean | environment,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project as `tac-orch init` prepares it."""
    folder = tmp_path / "project"
    folder.mkdir()
    prepare_project(folder)
    return folder


def test_an_adw_script_runs_as_it_is(project: Path, tmp_path: Path) -> None:
    printed = json.loads(run(write_script(project, WORKFLOW), tmp_path))
    assert printed == {"status": "completed", "cost": 0.006, "prompts": 1, "logs": [{"files": 3}, None]}
    assert (project / "adws" / "schema" / "orchestrator.db").is_file()


def test_the_store_is_the_projects_from_wherever_the_script_is_run(project: Path, tmp_path: Path) -> None:
    run(write_script(project, WORKFLOW), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["project"]


def test_the_environment_names_another_store(project: Path, tmp_path: Path) -> None:
    run(write_script(project, WORKFLOW), tmp_path, TAC_ORCHESTRATOR_DB=str(tmp_path / "other" / "place.db"))
    assert (tmp_path / "other" / "place.db").is_file()
    assert not (project / "adws" / "schema").exists()


def test_a_path_that_is_given_goes_before_the_environment(project: Path, tmp_path: Path) -> None:
    script = write_script(project, WORKFLOW.replace("DatabaseManager()", "DatabaseManager('given.db')"))
    run(script, tmp_path, TAC_ORCHESTRATOR_DB=str(tmp_path / "other.db"))
    assert (tmp_path / "given.db").is_file()
    assert not (tmp_path / "other.db").exists()


@pytest.mark.parametrize(
    ("folder", "module"),
    [("..", "adw_modules.adw_database"), ("../..", "adws.adw_modules.adw_database"), ("../adw_modules", "adw_database")],
)
def test_it_can_be_imported_from_each_folder_that_scripts_use(project: Path, tmp_path: Path, folder: str, module: str) -> None:
    text = WORKFLOW.replace('".."', f'"{folder}"').replace("adw_modules.adw_database", module)
    assert json.loads(run(write_script(project, text), tmp_path))["status"] == "completed"


def test_open_database_gives_the_whole_store(project: Path, tmp_path: Path) -> None:
    script = write_script(
        project,
        HEAD
        + """
from adw_modules.adw_database import DEFAULT_PATH, database_path, open_database

async def main():
    assert database_path() == DEFAULT_PATH
    async with open_database() as db:
        kind = await db.orchestrator_agents.register("planner", agent_type="planner")
        async with db.agents.run(kind, session_id="issue-42") as agent:
            await agent.log("milestone", "begun")
        print(db.target == str(DEFAULT_PATH), [session.status for session in await db.sessions.list()])

asyncio.run(main())
""",
    )
    assert run(script, tmp_path) == "True ['completed']\n"


def test_the_models_are_those_of_the_package(project: Path, tmp_path: Path) -> None:
    script = write_script(
        project,
        HEAD
        + """
import tac_orchestrator
from adw_modules import orch_database_models as models
from adw_modules.orch_database_models import Agent, AgentLog, OrchestratorAgent, Prompt, SystemLog

assert all(getattr(models, name) is getattr(tac_orchestrator, name, getattr(models, name)) for name in models.__all__)
assert models.__all__ == sorted(models.__all__)
print(*(each.__name__ for each in (OrchestratorAgent, Agent, Prompt, AgentLog, SystemLog)))
""",
    )
    assert run(script, tmp_path) == "OrchestratorAgent Agent Prompt AgentLog SystemLog\n"


@pytest.mark.parametrize("has_init", [True, False], ids=["a package", "a folder"])
def test_a_projects_own_modules_keep_working(tmp_path: Path, has_init: bool) -> None:
    own = tmp_path / "project" / "adws" / "adw_modules"
    own.mkdir(parents=True)
    (own / "agent.py").write_text("NAME = 'the project has this itself'\n")
    if has_init:
        (own / "__init__.py").write_text("OWN = True\n")
    prepare_project(tmp_path / "project")
    script = write_script(tmp_path / "project", WORKFLOW + "\nfrom adw_modules.agent import NAME\nprint(NAME)\n")
    assert run(script, tmp_path).splitlines()[1:] == ["the project has this itself"]
    assert (own / "__init__.py").exists() == has_init


def test_a_projects_own_database_module_is_left_alone(tmp_path: Path) -> None:
    own = tmp_path / "project" / "adws" / "adw_modules"
    own.mkdir(parents=True)
    (own / "adw_database.py").write_text("class DatabaseManager:\n    name = 'mine'\n")
    prepare_project(tmp_path / "project")
    script = write_script(
        tmp_path / "project",
        HEAD + "import tac_orchestrator\nfrom adw_modules.adw_database import DatabaseManager\nprint(DatabaseManager.name)\n",
    )
    assert run(script, tmp_path) == "mine\n"


def test_installing_the_package_puts_no_adws_on_the_path(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(
        "import importlib.util as util, tac_orchestrator\nprint(util.find_spec('adws'), util.find_spec('adw_modules'))\n"
    )
    assert run(tmp_path / "script.py", tmp_path) == "None None\n"


def test_two_scripts_write_to_one_store_at_once(project: Path, tmp_path: Path) -> None:
    writer = write_script(
        project,
        HEAD
        + """
from adw_modules.adw_database import DatabaseManager

async def main(name):
    async with DatabaseManager() as db:
        kind = await db.create_orchestrator_agent(name, None, "builder")
        agent = await db.create_agent(kind, "issue-42")
        for number in range(50):
            await db.create_agent_log(agent, "INFO", "milestone", f"{name} {number}")

asyncio.run(main(sys.argv[1]))
""",
    )
    both = [subprocess.Popen([sys.executable, writer, name], cwd=tmp_path, stderr=subprocess.PIPE) for name in ("one", "two")]
    assert [(process.communicate()[1], process.returncode) for process in both] == [(b"", 0), (b"", 0)]
    with closing(sqlite.connect(project / "adws" / "schema" / "orchestrator.db")) as connection:
        assert connection.execute("SELECT COUNT(*) FROM agent_logs WHERE log_type = 'milestone'").fetchone() == (100,)


def test_the_modules_that_a_project_gets_are_those_of_the_repository(project: Path) -> None:
    for file in (ROOT / "adws" / "adw_modules").glob("*.py"):
        assert (project / "adws" / "adw_modules" / file.name).read_text() == file.read_text()
