"""What the OpenAI Agents SDK calls while agents run becomes what truly happened, in whatever order it is heard."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tac_orchestrator import Database, blocking
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.ingest.openai_agents import RecordingProcessor
from tac_orchestrator.ops.checks import check

from ..reliability.support import start
from .samples import contents

_FOLDER = Path(__file__).parents[1] / "samples"
RUNS = ("openai-agents-processor", "openai-agents-responses-processor")
Event = dict[str, Any]


class Item(SimpleNamespace):
    """As the SDK's objects are: models with attributes, that can say what they hold."""

    def model_dump(self, **_: Any) -> dict[str, Any]:
        return dict(vars(self))


def truth(name: str) -> dict[str, Any]:
    return json.loads((_FOLDER / name / "manifest.json").read_text())["expected"]


def events(name: str) -> list[Event]:
    return [json.loads(line) for line in (_FOLDER / name / "events.jsonl").read_text().splitlines()]


def called(processor: RecordingProcessor, heard: list[Event]) -> None:
    """As the SDK calls it, with objects of its own."""
    for event in heard:
        extra = event.get("span_data_extra", {})
        answer = extra.get("response")
        data = SimpleNamespace(input=extra.get("input"), response=Item(**answer) if answer else None)
        told = SimpleNamespace(export=lambda event=event: event["export"], span_data=data)
        getattr(processor, event["callback"])(told)


@pytest.fixture
def recorded(path: Path) -> Generator[Callable[..., RecordingProcessor]]:
    """Has a processor hear these. All is stored once this returns."""
    processors = list[RecordingProcessor]()

    def record(*heard: list[Event], target: Path = path) -> RecordingProcessor:
        processor = RecordingProcessor(target)
        processors.append(processor)
        for some in heard:
            called(processor, some)
            processor.force_flush()
        assert processor.lost == 0
        return processor

    yield record
    for processor in processors:
        processor.shutdown()


@pytest.mark.parametrize("name", RUNS)
async def test_a_run_becomes_what_truly_happened(path, recorded, name):
    recorded(events(name))
    expected, provider = truth(name), truth(name).get("llm_api_truth", {})
    async with Database.open(path) as db:
        agents, prompts = await db.agents.list(), await db.prompts.list()
        names = {kind.id: kind.name for kind in await db.orchestrator_agents.list()}
        tools = await db.agent_logs.list(log_type="tool_call")
        sessions = await db.sessions.list()
        assert [one.name for one in await check(db) if one.state != "ok"] == []
    called_by = {one.id: names[one.orchestrator_agent_id] for one in agents}
    tree = {called_by[one.id]: one.parent_agent_id and called_by[one.parent_agent_id] for one in agents}
    assert tree == {one: above and above.split()[0] for one, above in expected["agent_tree"].items()}
    assert [called_by[one.id] for one in agents if one.status != "completed"] == ["failing_agent"]
    answered = [one for one in prompts if one.status == "completed"]
    assert len(answered) == expected["llm_calls"]
    assert len(prompts) - len(answered) == expected["llm_calls_failed"]
    told = sum(one.tokens_input or 0 for one in answered), sum(one.tokens_output or 0 for one in answered)
    tokens_input = expected.get("tokens_input", provider.get("input_tokens_incl_cache"))
    assert told == (tokens_input, expected.get("tokens_output", provider.get("output_tokens")))
    assert len(tools) == expected["tool_calls"]
    assert sum(one.log_level == "ERROR" for one in tools) == expected.get("failed_tools", 0)
    assert len(sessions) == 2
    assert {one.session_id for one in sessions} & {"conv-42", "conv-77"}
    assert all(one.cost_source == "priced" for one in answered)


async def test_texts_models_and_cached_tokens_of_responses_are_kept(path, recorded):
    recorded(events("openai-agents-responses-processor"))
    async with Database.open(path) as db:
        prompts = [one for one in reversed(await db.prompts.list()) if one.status == "completed"]
        failed = await db.prompts.list(status="failed")
        tools = {one.details["tool"]: one.details for one in await db.agent_logs.list(log_type="tool_call")}
    assert [(one.model_used, one.prompt_type) for one in prompts] == [
        ("gpt-4o", "adw"),
        ("gpt-4o-mini", "adw"),
        ("gpt-4o", "tool_call"),
    ]
    assert prompts[0].prompt_text == "Weather in Oslo and define WAL"
    assert prompts[1].response_text == "WAL = write-ahead log."
    assert prompts[2].prompt_text == "Sunny in Oslo\n\nWAL = write-ahead log."
    assert prompts[2].tokens_cache_read == 1610
    assert prompts[0].details["tools"] == ["get_weather", "ask_researcher"]
    assert "max_tokens too large" in failed[0].error_message
    assert (tools["get_weather"]["arguments"], tools["get_weather"]["result"]) == ({"city": "Oslo"}, "Sunny in Oslo")
    assert tools["get_weather"]["prompt_id"] == prompts[0].id


async def test_a_handover_is_a_milestone_of_who_handed_over(path, recorded):
    recorded(events("openai-agents-processor"))
    async with Database.open(path) as db:
        (log,) = [one for one in await db.agent_logs.list(log_type="milestone") if "Handed" in one.message]
        agent = await db.agents.get(log.agent_id)
        assert (await db.orchestrator_agents.get(agent.orchestrator_agent_id)).name == "triage_agent"
    assert log.message == "Handed over to writer"


@pytest.mark.parametrize("name", RUNS)
async def test_the_order_and_the_number_of_times_make_no_difference(path, tmp_path, recorded, name):
    heard = events(name)
    recorded(heard)
    async with Database.open(path) as db:
        once = await contents(db)
    ways = {"twice": [heard, heard], "reversed": [heard[::-1]], "one by one": [[event] for event in heard[::-1]]}
    for way, parts in ways.items():
        target = tmp_path / f"{way}.db"
        recorded(*parts, target=target)
        async with Database.open(target) as db:
            assert await contents(db) == once, way


async def test_what_has_begun_is_seen_before_it_ends(path, recorded):
    heard = events("openai-agents-processor")
    first_request = next(n for n, event in enumerate(heard) if event["export"].get("span_data", {}).get("type") == "generation")
    processor = recorded(heard[: first_request + 1])
    async with Database.open(path) as db:
        (agent,), (prompt,) = await db.agents.list(), await db.prompts.list()
        assert (agent.status, agent.completed_at, agent.session_id) == ("executing", None, "conv-42")
        assert (prompt.status, prompt.completed_at, prompt.cost_source) == ("streaming", None, None)
        assert "weather in Oslo" in prompt.prompt_text
        called(processor, heard[first_request + 1 :])
        processor.force_flush()
        assert (await db.agents.get(agent.id)).status == "completed"
        ended = await db.prompts.get(prompt.id)
        assert (ended.status, ended.tokens_input, ended.cost_source) == ("completed", 100, "priced")


async def test_an_agent_that_took_no_time_has_ended_whichever_was_heard_first(path, tmp_path, recorded):
    begun = next(one for one in events(RUNS[0]) if one["export"].get("span_data", {}).get("type") == "agent")
    ended = {"callback": "on_span_end", "export": {**begun["export"], "ended_at": begun["export"]["started_at"]}}
    for target, heard in ((path, [begun, ended]), (tmp_path / "other.db", [ended, begun])):
        recorded(*([one] for one in heard), target=target)
        async with Database.open(target) as db:
            assert [one.status for one in await db.agents.list()] == ["completed"]


async def test_a_guardrail_is_a_milestone(path, recorded):
    heard = events("openai-agents-processor")
    agent = next(event["export"] for event in heard if event["export"].get("span_data", {}).get("type") == "agent")
    guardrail = {"type": "guardrail", "name": "no_secrets", "triggered": True}
    span = {**agent, "id": "span_guard", "parent_id": agent["id"], "span_data": guardrail, "ended_at": agent["started_at"]}
    recorded([*heard, {"callback": "on_span_end", "export": span}])
    async with Database.open(path) as db:
        (log,) = await db.agent_logs.list(log_level="WARNING")
    assert log.message == "The guardrail no_secrets was triggered"


def test_strange_spans_and_a_store_that_is_none_harm_nobody(tmp_path, caplog):
    (tmp_path / "broken.db").write_text("no store at all, and long enough to be none" * 100)
    processor = RecordingProcessor(tmp_path / "broken.db")
    called(processor, events(RUNS[0]))
    processor.on_span_end(None)
    processor.on_span_start(SimpleNamespace(export=lambda: None))
    processor.force_flush()
    processor.shutdown()
    processor.shutdown()
    called(processor, events(RUNS[1]))
    assert processor.lost == len(events(RUNS[0])) + len(events(RUNS[1]))
    assert "not recorded" in caplog.text


@pytest.mark.parametrize(
    "strange",
    [
        {"id": None, "trace_id": None},
        {"started_at": "yesterday", "ended_at": 5},
        {"span_data": {"type": "generation", "input": "\0\ud800", "output": [[[]], 7], "usage": {"input_tokens": -1}}},
        {"span_data": {"type": "function", "name": "x" * 5000, "input": "{" * 500, "output": {"a": float("nan")}}},
        {"span_data": None, "error": "boom"},
    ],
)
async def test_whatever_a_span_says_the_others_are_recorded(path, recorded, strange):
    heard = events("openai-agents-processor")
    span = {**heard[2]["export"], "id": "span_strange", "ended_at": heard[2]["export"]["started_at"], **strange}
    recorded([{"callback": "on_span_end", "export": span}, *heard])
    async with Database.open(path) as db:
        assert len(await db.prompts.list(status="completed")) >= truth("openai-agents-processor")["llm_calls"]


def test_an_open_store_may_be_given_and_no_event_loop_is_needed(path):
    with blocking.open_database(path) as db:
        processor = RecordingProcessor(db)
        called(processor, events(RUNS[0]))
        processor.shutdown()
        assert len(db.agents.list()) == truth(RUNS[0])["agents"]
    with sqlite.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


ENDS = {
    "at once": "hear()",
    "with a thread that goes on": "import threading; threading.Thread(target=lambda: (time.sleep(0.3), hear())).start()",
    "with what others do at its end": "import atexit; atexit.register(hear)",
}


@pytest.mark.parametrize("end", ENDS)
def test_a_program_may_end_without_a_word_and_nothing_is_lost(path, end):
    program = f"""
import sys, time
from types import SimpleNamespace
from tac_orchestrator.ingest.openai_agents import RecordingProcessor

processor = RecordingProcessor(sys.argv[1])

def hear():
    for number in range(50):
        data = {{"type": "agent", "name": f"agent {{number}}"}}
        moment = "2026-01-01T00:00:00+00:00"
        span = dict(object="trace.span", id=f"span_{{number}}", trace_id="trace_1", parent_id=None, span_data=data)
        processor.on_span_end(SimpleNamespace(export=lambda: span | dict(started_at=moment, ended_at=moment, error=None)))

{ENDS[end]}
"""
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    with blocking.open_database(path) as db:
        assert len(db.agents.list()) == 50


WORKING = """
import sys, time
from types import SimpleNamespace
from tac_orchestrator.ingest.openai_agents import RecordingProcessor

processor = RecordingProcessor(sys.argv[1])
moment = "2026-01-01T00:00:00+00:00"

def span(name, ended_at):
    told = dict(object="trace.span", id=f"span_{name}", trace_id="trace_1", parent_id=None, error=None)
    return SimpleNamespace(export=lambda: told | dict(
        span_data={"type": "agent", "name": name}, started_at=moment, ended_at=ended_at
    ))

processor.on_span_end(span("done", moment))
processor.on_span_start(span("at work", None))
processor.force_flush()
print("recorded", flush=True)
time.sleep(600)
"""


async def test_agents_of_a_process_that_was_killed_have_failed_and_those_that_had_ended_have_not(path):
    with start(WORKING, path) as process:
        assert process.stdout.readline() == "recorded\n"
        async with Database.open(path) as db:
            assert await db.agents.close_lost() == [], "as long as it lives"
            process.kill()
            process.wait()
            assert len(await db.agents.close_lost()) == 1
            assert await ends(db) == {"done": ("completed", None), "at work": ("failed", f"Its process ({process.pid}")}


async def ends(db):
    names = {kind.id: kind.name for kind in await db.orchestrator_agents.list()}
    reasons = {one.id: one.error_message and one.error_message.partition(" on ")[0] for one in await db.agents.list()}
    return {names[one.orchestrator_agent_id]: (one.status, reasons[one.id]) for one in await db.agents.list()}
