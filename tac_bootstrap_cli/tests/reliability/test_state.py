"""The store beside a plain model of it: whatever is done, in whatever order, both hold the same.

After each step the rows, the totals and the feed of changes are compared. The model is a few dictionaries.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test

from tac_orchestrator import AlreadyExists, Database, InvalidRecord, InvalidTransition, NotFound
from tac_orchestrator.ops.retention import prune
from tac_orchestrator.settings import Settings

from .model import ENDED, PRICED, WORKING, AgentModel, Model, PromptModel
from .support import faults

T = TypeVar("T")

KINDS = {"planner": "planner", "builder": "builder", "fixer": "builder"}
SESSIONS = ("one", "two", "three")
DAYS = tuple(datetime(2026, 3, day, 12, tzinfo=UTC) for day in (1, 2, 3))
MODELS = (PRICED, "a-model-that-nobody-sells", None)
TOKENS = ("tokens_input", "tokens_output")
UNKNOWN = "00000000-0000-4000-8000-00000000dead"

numbers = st.integers(0, 30)
some_statuses = st.lists(st.sampled_from((*WORKING, *ENDED)), min_size=1, max_size=4)
some_numbers = st.lists(numbers, min_size=1, max_size=4, unique=True)
costs = st.none() | st.integers(0, 10**9).map(lambda number: Decimal(number).scaleb(-8))
tokens = st.none() | st.integers(0, 5000)
days = st.sampled_from(DAYS)
answers = st.fixed_dictionaries({
    "model_used": st.sampled_from(MODELS), "tokens_input": tokens, "tokens_output": tokens, "cost_usd": costs,
})  # fmt: skip


class StoreBesideItsModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = TemporaryDirectory(prefix="tac-orchestrator-")
        self.path = Path(self.folder.name, "orchestrator.db")
        self.settings = replace(Settings(str(self.path)), synchronous="NORMAL")
        self.db = Database(self.settings)
        self.model = Model()
        self.position = "0.0.0"
        self.heard: dict[str, dict[str, Any]] = {}

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def refuses(self, error: type[Exception], work: Coroutine[Any, Any, Any]) -> None:
        with pytest.raises(error):
            self.do(work)

    def agent(self, number: int) -> str:
        return sorted(self.model.agents)[number % len(self.model.agents)]

    def prompt(self, number: int) -> str:
        return sorted(self.model.prompts)[number % len(self.model.prompts)]

    def has_agents(self) -> bool:
        return bool(self.model.agents)

    def has_prompts(self) -> bool:
        return bool(self.model.prompts)

    # Kinds of agents

    @initialize(statuses=some_statuses, changes=some_statuses, answer=answers)
    def open(self, statuses: list[str], changes: list[str], answer: dict[str, Any]) -> None:
        self.do(self.db.connect())
        for name in KINDS:
            self.register(name)
        for number, status in enumerate(statuses):
            self.create_an_agent(number, SESSIONS[number % 2], number or None, status, DAYS[number % 3])
        for status in ("pending", "streaming", "completed"):
            self.create_prompts([0, 1], status, DAYS[0], answer)
        self.change_states([0, 1, 2], changes)

    @rule(what=st.sampled_from(["close", "prune", "ask"]))
    def do_what_changes_nothing(self, what: str) -> None:
        if what == "close":
            self.do(self.db.close())
            self.db = Database(self.settings)
            self.do(self.db.connect())
        elif what == "prune":
            assert self.do(prune(self.db, timedelta(days=36_500))).row_count == 0
        else:
            self.ask_for_what_is_not_there()

    def ask_for_what_is_not_there(self) -> None:
        for table in (self.db.agents, self.db.prompts, self.db.orchestrator_agents):
            self.refuses(NotFound, table.get(UNKNOWN))
            self.refuses(NotFound, table.delete(UNKNOWN))
        self.refuses(NotFound, self.db.prompts.create(UNKNOWN, "adw", "of nobody"))
        self.refuses(InvalidRecord, self.db.agents.update(UNKNOWN, cost_usd=1))

    @rule(name=st.sampled_from(sorted(KINDS)), what=st.sampled_from(["register", "create", "delete"]))
    def change_kinds(self, name: str, what: str) -> None:
        if what == "register":
            self.register(name)
        elif what == "create":
            self.create_a_kind(name)
        elif name in self.model.kinds and len(self.model.kinds) > 1:
            self.do(self.db.orchestrator_agents.delete(self.model.kinds.pop(name)))
            for key in [key for key, agent in self.model.agents.items() if agent.kind == name]:
                self.model.delete_agent(key)

    def register(self, name: str) -> None:
        kind = self.do(self.db.orchestrator_agents.register(name, agent_type=KINDS[name]))
        assert self.model.kinds.setdefault(name, kind.id) == kind.id

    def create_a_kind(self, name: str) -> None:
        create = self.db.orchestrator_agents.create(name, agent_type=KINDS[name])
        if name in self.model.kinds:
            self.refuses(AlreadyExists, create)
        else:
            self.model.kinds[name] = self.do(create).id

    # Agents

    @rule(
        number=numbers,
        session_id=st.sampled_from(SESSIONS),
        parent=st.none() | numbers,
        status=st.sampled_from((*WORKING, *ENDED)),
        started_at=days,
    )
    def create_an_agent(self, number: int, session_id: str, parent: int | None, status: Any, started_at: datetime) -> None:
        kind = sorted(self.model.kinds)[number % len(self.model.kinds)]
        above = None if parent is None or not self.model.agents else self.agent(parent)
        create = self.db.agents.create(
            self.model.kinds[kind], session_id, parent_agent_id=above, status=status, started_at=started_at
        )
        self.model.agents[self.do(create).id] = AgentModel(kind, session_id, above, status, started_at)

    @precondition(has_agents)
    @rule(numbers=some_numbers, statuses=some_statuses)
    def change_states(self, numbers: list[int], statuses: list[str]) -> None:
        for number in numbers:
            for status in statuses:
                self.change_the_state_of(self.agent(number), number, status)

    def change_the_state_of(self, key: str, number: int, status: str) -> None:
        agent = self.model.agents[key]
        reason = {"error_message": f"reason {number}"} if status == "failed" else {}
        update = self.db.agents.update(key, status=status, **reason)
        if agent.status in ENDED:
            if agent.status == status:
                self.do(update)
            else:
                self.refuses(InvalidTransition, update)
        else:
            self.do(update)
            self.model.change_state(key, status)
            agent.error = reason.get("error_message", agent.error)

    @precondition(has_agents)
    @rule(number=numbers, context=st.none() | st.dictionaries(st.text("ab"), st.integers(0, 9), max_size=2))
    def update_an_agent(self, number: int, context: dict[str, Any] | None) -> None:
        key = self.agent(number)
        self.do(self.db.agents.update(key, context=context))
        self.model.agents[key].context = context

    @precondition(has_agents)
    @rule(number=numbers, fails=st.booleans(), answer=answers)
    def resume_an_agent(self, number: int, fails: bool, answer: dict[str, Any]) -> None:
        key = self.agent(number)

        async def work() -> str:
            async with self.db.agents.resume(key) as run, run.prompt("adw", text="Go on.") as prompt:
                if fails:
                    raise KeyError("mishap")
                prompt.answer("Done.", **answer)
            return prompt.id

        self.model.change_state(key, "executing")
        self.model.agents[key].error = "KeyError: 'mishap'" if fails else None
        self.model.change_state(key, "failed" if fails else "completed")
        if fails:
            self.refuses(KeyError, work())
            self.note_new_rows(agent=key)
        else:
            prompt = PromptModel(key, "completed", datetime.now(UTC), response="Done.")
            self.model.prompts[self.do(work())] = prompt
            self.set_answer(prompt, answer)

    def note_new_rows(self, agent: str) -> None:
        """The prompt of a block that an exception has left, and the log of where that came from."""
        (found,) = [p for p in self.do(self.db.prompts.list(agent_id=agent)) if p.id not in self.model.prompts]
        assert (found.status, found.error_message) == ("failed", "KeyError: 'mishap'")
        self.model.prompts[found.id] = PromptModel(agent, "failed", found.created_at)
        logs = self.do(self.db.agent_logs.list(agent_id=agent, log_type="error"))
        (error,) = [each for each in logs if each.id not in self.model.logs]
        self.model.logs[error.id or 0] = (agent, "error", "KeyError: 'mishap'")

    @precondition(has_agents)
    @rule(number=numbers)
    def delete_an_agent(self, number: int) -> None:
        key = self.agent(number)
        self.do(self.db.agents.delete(key))
        self.model.delete_agent(key)

    # Prompts

    @precondition(has_agents)
    @rule(numbers=some_numbers, status=st.sampled_from(("pending", "streaming", *ENDED)), created_at=days, answer=answers)
    def create_prompts(self, numbers: list[int], status: Any, created_at: datetime, answer: dict[str, Any]) -> None:
        for agent in map(self.agent, numbers):
            row = self.do(self.db.prompts.create(agent, "adw", "Do it.", status=status, created_at=created_at, **answer))
            prompt = self.model.prompts[row.id] = PromptModel(agent, status, created_at)
            self.set_answer(prompt, answer)

    @precondition(has_prompts)
    @rule(numbers=some_numbers, status=st.sampled_from(ENDED), answer=answers)
    def answer_prompts(self, numbers: list[int], status: Any, answer: dict[str, Any]) -> None:
        for key in map(self.prompt, numbers):
            self.answer_prompt(key, status, answer)

    def answer_prompt(self, key: str, status: Any, answer: dict[str, Any]) -> None:
        prompt = self.model.prompts[key]
        work = self.db.prompts.answer(key, "Done.", status=status, **answer)
        if prompt.status in ENDED:
            self.refuses(InvalidTransition, work)
            return
        self.do(work)
        prompt.status, prompt.response, prompt.source, prompt.cost_usd = status, "Done.", None, None
        self.set_answer(prompt, {**answer, "model_used": answer["model_used"] or prompt.model_used})

    def set_answer(self, prompt: PromptModel, answer: Mapping[str, Any]) -> None:
        prompt.model_used, prompt.tokens_input = answer["model_used"], answer["tokens_input"]
        prompt.tokens_output = answer["tokens_output"]
        prompt.report(answer["cost_usd"])

    @precondition(has_prompts)
    @rule(numbers=some_numbers, column=st.sampled_from((*TOKENS, "cost_usd")), count=st.integers(0, 5000))
    def correct_prompts(self, numbers: list[int], column: str, count: int) -> None:
        for key in map(self.prompt, numbers):
            prompt, value = self.model.prompts[key], Decimal(count).scaleb(-4) if column == "cost_usd" else count
            self.do(self.db.prompts.update(key, **{column: value}))
            setattr(prompt, column, value)
            prompt.report(prompt.cost_usd if column == "cost_usd" else None)

    @precondition(has_prompts)
    @rule(number=numbers)
    def delete_a_prompt(self, number: int) -> None:
        key = self.prompt(number)
        self.do(self.db.prompts.delete(key))
        del self.model.prompts[key]

    # Logs

    @precondition(has_agents)
    @rule(number=numbers)
    def log(self, number: int) -> None:
        key = self.agent(number)
        log = self.do(self.db.agent_logs.create(key, "milestone", f"log {number}"))
        self.model.logs[log] = (key, "milestone", f"log {number}")

    @rule(number=numbers)
    def log_of_the_system(self, number: int) -> None:
        self.model.system_logs[self.do(self.db.system_logs.create("api", f"{number}"))] = f"{number}"

    @precondition(lambda self: self.model.logs)
    @rule(number=numbers)
    def delete_a_log(self, number: int) -> None:
        log = sorted(self.model.logs)[number % len(self.model.logs)]
        self.do(self.db.agent_logs.delete(log))
        del self.model.logs[log]

    @precondition(has_agents)
    @rule(chosen=st.lists(numbers, min_size=2, max_size=40))
    def log_many_at_once(self, chosen: list[int]) -> None:
        owners = [self.agent(number) for number in chosen]

        async def work() -> list[int | BaseException]:
            logs = [self.db.agent_logs.create(owner, "milestone", "at once") for owner in owners]
            bad = self.db.agent_logs.create(UNKNOWN, "milestone", "of nobody")
            return await asyncio.gather(*logs, bad, return_exceptions=True)

        *ids, refused = self.do(work())
        assert isinstance(refused, NotFound)
        for key, log in zip(owners, ids, strict=True):
            assert isinstance(log, int)
            self.model.logs[log] = (key, "milestone", "at once")

    # Several at once, or nothing

    @precondition(has_agents)
    @rule(number=numbers, answer=answers, comes_through=st.sampled_from(["yes", "raises", "fails"]))
    def transact(self, number: int, answer: dict[str, Any], comes_through: str) -> None:
        key, kind = self.agent(number), next(iter(self.model.kinds.values()))

        async def work() -> tuple[str, str]:
            async with self.db.transaction() as transaction:
                agent = await transaction.agents.create(kind, "one", parent_agent_id=key, started_at=DAYS[0])
                prompt = await transaction.prompts.create(
                    agent.id, "adw", "Do it.", status="completed", created_at=DAYS[1], **answer
                )
                await transaction.agents.update(agent.id, status="completed")
                if comes_through == "raises":
                    raise KeyError
                if comes_through == "fails":
                    await transaction.agent_logs.create(UNKNOWN, "milestone", "of nobody")
            return agent.id, prompt.id

        if comes_through != "yes":
            self.refuses(KeyError if comes_through == "raises" else NotFound, work())
            return
        agent, prompt = self.do(work())
        name = next(name for name, each in self.model.kinds.items() if each == kind)
        self.model.agents[agent] = AgentModel(name, "one", key, "initializing", DAYS[0])
        self.model.change_state(agent, "completed")
        self.model.prompts[prompt] = PromptModel(agent, "completed", DAYS[1])
        self.set_answer(self.model.prompts[prompt], answer)

    # Lists

    @rule(
        size=st.integers(1, 5),
        session_id=st.none() | st.sampled_from(SESSIONS),
        status=st.none() | st.sampled_from((*WORKING, *ENDED)),
        parent=st.none() | numbers,
        since=st.none() | days,
        until=st.none() | days,
    )
    def list_agents(self, size: int, parent: int | None, since: datetime | None, until: datetime | None, **more: Any) -> None:
        above = None if parent is None or not self.model.agents else self.agent(parent)
        filters = {**more, "parent_agent_id": above, "since": since, "until": until}
        expected = [
            (agent.started_at, key)
            for key, agent in self.model.agents.items()
            if (more["session_id"] in {None, agent.session_id} and more["status"] in {None, agent.status})
            and (above in {None, agent.parent} and within(agent.started_at, since, until))
        ]
        assert self.pages(self.db.agents.list, size, filters) == [key for _, key in sorted(expected, reverse=True)]

    @rule(
        size=st.integers(1, 5),
        session_id=st.none() | st.sampled_from(SESSIONS),
        status=st.none() | st.sampled_from(("pending", "streaming", *ENDED)),
        model_used=st.sampled_from(MODELS),
        since=st.none() | days,
        until=st.none() | days,
    )
    def list_prompts(self, size: int, since: datetime | None, until: datetime | None, **more: Any) -> None:
        agents = {key: agent.session_id for key, agent in self.model.agents.items()}
        expected = {
            key
            for key, prompt in self.model.prompts.items()
            if (more["session_id"] in {None, agents[prompt.agent]} and more["status"] in {None, prompt.status})
            and (more["model_used"] in {None, prompt.model_used} and within(prompt.created_at, since, until))
        }
        found = self.pages(self.db.prompts.list, size, {**more, "since": since, "until": until})
        assert (len(found), set(found)) == (len(expected), expected)

    def pages(self, page: Callable[..., Awaitable[list[Any]]], size: int, filters: Mapping[str, Any]) -> list[str]:
        async def walk() -> list[str]:
            found = list[str]()
            while rows := await page(**filters, limit=size, before=found[-1] if found else None):
                found += [row.id for row in rows]
            return found

        return self.do(walk())

    # What must hold

    @invariant()
    def rows_are_those_of_the_model(self) -> None:
        agents = {row.id: row for row in self.do(self.db.agents.list(limit=1000))}
        names = {key: name for name, key in self.model.kinds.items()}
        assert {
            key: AgentModel(
                names[row.orchestrator_agent_id], row.session_id, row.parent_agent_id, row.status,
                row.started_at, row.error_message, row.context,
            )
            for key, row in agents.items()
        } == self.model.agents  # fmt: skip
        assert all((row.completed_at is None) == (row.status in WORKING) for row in agents.values())
        assert {key: row.cost_usd for key, row in agents.items()} == {key: self.model.cost_of(key) for key in agents}
        prompts = {row.id: row for row in self.do(self.db.prompts.list(limit=1000))}
        for key, prompt in self.model.prompts.items():
            row = prompts.pop(key)
            assert (row.agent_id, row.status, row.model_used) == (prompt.agent, prompt.status, prompt.model_used)
            assert (row.tokens_input, row.tokens_output) == (prompt.tokens_input, prompt.tokens_output)
            assert (row.cost_usd, row.cost_source, row.response_text) == (prompt.cost_usd, prompt.source, prompt.response)
        assert prompts == {}

    @invariant()
    def logs_are_those_of_the_model(self) -> None:
        rows = self.do(self.db.agent_logs.list(limit=1000))
        changes = [(row.agent_id, row.message) for row in reversed(rows) if row.log_type == "state_change"]
        assert Counter(changes) == Counter(self.model.state_changes)
        for key in self.model.agents:
            own = [change for change in self.model.state_changes if change[0] == key]
            assert [change for change in changes if change[0] == key] == own
        others = {row.id: (row.agent_id, row.log_type, row.message) for row in rows if row.log_type != "state_change"}
        assert others == self.model.logs
        assert {row.id: row.message for row in self.do(self.db.system_logs.list(limit=1000))} == self.model.system_logs

    @invariant()
    def totals_are_those_of_the_model(self) -> None:
        sessions = {row.session_id: row for row in self.do(self.db.sessions.list())}
        assert sessions.keys() == {agent.session_id for agent in self.model.agents.values()}
        for key, session in sessions.items():
            expected = self.model.session(key)
            assert {name: getattr(session, name) for name in expected} == expected
        groups: dict[Any, Callable[[PromptModel], str]] = {
            "model": lambda prompt: prompt.model_used or "",
            "day": lambda prompt: f"{prompt.created_at:%Y-%m-%d}",
            "agent_type": lambda prompt: KINDS[self.model.agents[prompt.agent].kind],
            "session": lambda prompt: self.model.agents[prompt.agent].session_id,
        }
        for group, name_of in groups.items():
            expected = self.model.usage(name_of)
            found = {row.group: row for row in self.do(self.db.usage.by(group))}
            assert {name: {each: getattr(found[name], each) for each in expected[name]} for name in found} == expected

    @invariant()
    def who_listens_to_the_feed_knows_everything(self) -> None:
        """Rows are read again only when the feed tells of them. What follows from another row's change (a cost) it does not."""
        tables = {
            "orchestrator_agents": "SELECT * FROM orchestrator_agents",
            "agents": "SELECT id, session_id, parent_agent_id, status, context, error_message, completed_at FROM agents",
            "prompts": "SELECT * FROM prompts",
            "agent_logs": "SELECT * FROM agent_logs",
            "system_logs": "SELECT * FROM system_logs",
        }
        now = {table: {str(row["id"]): row for row in self.do(self.db.query(sql))} for table, sql in tables.items()}
        for change in self.do(self.db.changes.after(self.position, limit=10_000)):
            self.position = change.position
            heard, table = self.heard.setdefault(f"{change.entity}s", {}), now[f"{change.entity}s"]
            if change.row_id in table:
                heard[change.row_id] = table[change.row_id]
            else:
                heard.pop(change.row_id, None)
        assert {table: self.heard.get(table, {}) for table in tables} == now

    def teardown(self) -> None:
        self.do(self.db.close())
        if self.path.exists():
            assert self.do(faults(self.path)) == []
        self.runner.close()
        self.folder.cleanup()


def within(at: datetime, since: datetime | None, until: datetime | None) -> bool:
    return (since is None or at >= since) and (until is None or at < until)


def compare(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        StoreBesideItsModel,
        settings=settings(
            max_examples=examples, stateful_step_count=steps, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


@pytest.mark.timeout(600)  # a failure is made small first, which takes its time
def test_the_store_holds_what_a_model_of_it_holds() -> None:
    compare(examples=12, steps=40)


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_store_holds_what_a_model_of_it_holds_at_length() -> None:
    compare(examples=300, steps=60)
