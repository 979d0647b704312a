"""What the agents of the demonstration do. Each runs in a process of its own, in the folder of the project, and finds its
session and the agent that started it in its environment."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tac_orchestrator.database import Database
from tac_orchestrator.demo.model import MODEL, ask
from tac_orchestrator.models import AgentType, PromptType
from tac_orchestrator.runs import AgentRun
from tac_orchestrator.settings import AGENT_VARIABLE, SESSION_VARIABLE

PARTS = {
    "money": ("shop/money.py", "money.py.txt"),
    "basket": ("shop/basket.py", "basket.py.txt"),
    "tests": ("tests/test_basket.py", "test_basket.py.txt"),
}
"""What the builders build: the file, and the answer that holds it."""

_TESTS = (sys.executable, "-m", "pytest")


class WorkflowFailed(Exception):
    """A step did not do what it was there for."""


async def workflow() -> None:
    async with Database.open() as db:
        await db.orchestrator_agents.register("feature_workflow", agent_type="orchestrator")
        async with db.agents.run("feature_workflow", context={"task": "a basket"}) as agent:
            await _step(agent, "planner")
            if await _tests_fail(agent):
                await _step(agent, "fixer")
                if await _tests_fail(agent):
                    raise WorkflowFailed("The tests fail after the repair, too.")
            await _step(agent, "reviewer")
            await agent.log("milestone", "The basket is built, tested and approved.")


async def planner() -> None:
    async with _agent("planner", "planner") as agent:
        plan = await _answer(agent, "adw", "Plan a basket whose total is right to the cent.", "plan.md", name="plan")
        _write("specs/basket.md", plan)
        await agent.log("milestone", f"Planned {len(PARTS)} parts.", details={"path": "specs/basket.md"})
        await asyncio.gather(*(_step(agent, "builder", part) for part in PARTS))


async def builder(part: str) -> None:
    path, answer = PARTS[part]
    async with _agent("builder", "builder") as agent:
        text = await _answer(agent, "adw", f"Build {path} as specs/basket.md says.", answer, name=f"build {part}")
        await _write_as_tool(agent, path, text)


async def fixer() -> None:
    async with _agent("fixer", "builder") as agent:
        prompt = f"A test fails. Repair shop/basket.py:\n\n{_quoted('shop/basket.py')}"
        text = await _answer(agent, "correction", prompt, "basket_fixed.py.txt")
        await _write_as_tool(agent, "shop/basket.py", text)


async def reviewer() -> None:
    async with _agent("reviewer", "reviewer") as agent:
        written = "\n\n".join(_quoted(path) for path, _ in PARTS.values())
        verdict = await _answer(agent, "adw", f"Review what was built:\n\n{written}", "review.md", name="review")
        await agent.log("milestone", verdict.strip())


ROLES: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
    role.__name__: role for role in (workflow, planner, builder, fixer, reviewer)
}


@asynccontextmanager
async def _agent(name: str, agent_type: AgentType) -> AsyncGenerator[AgentRun]:
    """This process, as an agent of the session that its environment names."""
    async with Database.open() as db:
        await db.orchestrator_agents.register(name, agent_type=agent_type)
        async with db.agents.run(name) as agent:
            yield agent


async def _answer(agent: AgentRun, prompt_type: PromptType, prompt: str, answer: str, *, name: str | None = None) -> str:
    async with agent.prompt(prompt_type, text=prompt, name=name, model=MODEL) as request:
        found = ask(prompt, answer)
        request.answer(found.text, tokens_input=found.tokens_input, tokens_output=found.tokens_output)
    return found.text


async def _step(agent: AgentRun, role: str, *arguments: str) -> None:
    """Another agent, as the child of this one. Raises WorkflowFailed."""
    code = await _run(agent, sys.executable, "-m", "tac_orchestrator.demo", role, *arguments)
    if code != 0:
        raise WorkflowFailed(f"The {role} ended with exit code {code}.")


async def _tests_fail(agent: AgentRun) -> bool:
    """Any command can be an agent: this is what `tac-orch exec` is for."""
    recorded = (sys.executable, "-m", "tac_orchestrator", "exec", "--agent", "tester", "--type", "tester", "--", *_TESTS)
    return await _run(agent, *recorded, stdout=asyncio.subprocess.DEVNULL) != 0


async def _run(agent: AgentRun, *command: str, stdout: int | None = None) -> int:
    """The child finds its session and its parent in its environment."""
    environment = {**os.environ, SESSION_VARIABLE: agent.session_id, AGENT_VARIABLE: agent.id}
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=stdout)
    return await process.wait()


async def _write_as_tool(agent: AgentRun, path: str, text: str) -> None:
    _write(path, text)
    await agent.log("tool_call", f"Write: {path}", details={"tool": "Write", "arguments": {"file_path": path}})


def _write(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, "utf-8")


def _quoted(path: str) -> str:
    return f"```python\n{Path(path).read_text('utf-8')}```"
