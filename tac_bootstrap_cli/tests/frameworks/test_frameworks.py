"""Real frameworks, each with a model of its own and the lines of its recipe, are recorded as what truly happened."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import Database

from ..server.support import Server, serving
from .programs.truth import DOWN

ROOT = Path(__file__).parents[3]
PROGRAMS = Path(__file__).parent / "programs"
RECIPES = ROOT / "docs" / "frameworks.md"

APART = {
    "pydantic_ai": "frameworks",
    "langchain": "frameworks",
    "langgraph": "frameworks",
    "smolagents": "frameworks",
    "google_adk": "frameworks",
    "openai_agents": "frameworks",
    "llama_index": "frameworks-long",
    "crewai": "frameworks-long",
}
"""In which environment a program runs."""

# What its instrumentation does not tell, so that nobody can know it from there.
WITHOUT_CACHE = ("smolagents",)
WITHOUT_FAILED_AGENTS = ("smolagents",)  # their requests belong to the program as a whole

Story = dict[str, Any]


@pytest.fixture
def server(path: Path) -> Iterator[Server]:
    with serving(path) as running:
        yield running


def run(name: str, server: Server, path: Path) -> Story:
    """What the program says of itself, once it has ended and its exporter with it."""
    python = ROOT / f".venv-{APART[name]}" / "bin" / "python"
    assert (python.parents[1] / "ready").exists(), f"{python.parents[1].name} is not there: scripts/test makes it"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(path.parent),
        "PYTHONPATH": str(ROOT / "tac_bootstrap_cli"),
        "CREWAI_DISABLE_TELEMETRY": "true",  # of its own, to its makers
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "crewai",
        "OTEL_EXPORTER_OTLP_ENDPOINT": server.address,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true",
        "OTEL_SERVICE_NAME": name,
        "TAC_ORCHESTRATOR_DB": str(path),
    }
    command = [str(python), str(PROGRAMS / f"with_{name}.py")]
    done = subprocess.run(command, env=environment, cwd=path.parent, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def true_story(name: str, told: Story) -> Story:
    """What can be known of it."""
    known = {agent: name if name in WITHOUT_FAILED_AGENTS and agent in told["failed"] else agent for agent, _ in told["agents"]}
    uncached = name in WITHOUT_CACHE
    return {
        "agents": _sorted((known[agent], parent) for agent, parent in told["agents"]),
        "requests": _sorted((*counts[:3], None if uncached else counts[3]) for counts in told["requests"]),
        "tools": _sorted(map(tuple, told["tools"])),
        "failed": _sorted(known[agent] for agent in told["failed"]),
        "refused": _sorted(known[agent] for agent in told["refused"]),
    }


async def recorded_story(path: Path) -> Story:
    async with Database.open(path) as db:
        kinds = {kind.id: kind.name for kind in await db.orchestrator_agents.list()}
        agents, prompts = await db.agents.list(), await db.prompts.list(limit=1000)
        logs = await db.agent_logs.list(log_type="tool_call", limit=1000)
    names = {agent.id: kinds[agent.orchestrator_agent_id] for agent in agents}
    answered = [prompt for prompt in prompts if prompt.status == "completed"]
    assert {agent.status for agent in agents} == {"completed", "failed"}
    assert all(DOWN in (agent.error_message or "") for agent in agents if agent.status == "failed")
    assert all("Traceback" not in (agent.error_message or "") for agent in agents)
    return {
        "agents": _sorted((names[agent.id], names.get(agent.parent_agent_id or "")) for agent in agents),
        "requests": _sorted(
            (names[one.agent_id], one.tokens_input, one.tokens_output, one.tokens_cache_read) for one in answered
        ),
        "tools": _sorted((names[log.agent_id], (log.details or {})["tool"]) for log in logs),
        "failed": _sorted(names[agent.id] for agent in agents if agent.status == "failed"),
        "refused": _sorted(names[one.agent_id] for one in prompts if one.status != "completed"),
    }


def _sorted(found: Any) -> list[Any]:
    return sorted(found, key=str)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if apart.endswith("long") else []) for name, apart in APART.items()]
)
async def test_agents_tree_requests_tools_and_tokens_are_those_of_the_program(name: str, server: Server, path: Path) -> None:
    told = run(name, server, path)

    assert await recorded_story(path) == true_story(name, told)
