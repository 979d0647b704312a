"""What the folders of AI developer workflows become, alone and together with Claude Code's transcripts of the same runs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import AsyncGenerator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import AgentNode, Database
from tac_orchestrator.errors import DatabaseUnavailable
from tac_orchestrator.ingest.adw import import_adw
from tac_orchestrator.ingest.claude_code import import_claude_code

from .samples import STREAMS, contents, expected, main_transcript, projects, stream

SUBAGENTS = "claude-code-subagents"
BASIC = "claude-code-basic"
NESTED = "claude-code-2.1.330-nested-2"
ADW = "a1b2c3d4"


@pytest.fixture
def agents(tmp_path: Path) -> Path:
    """The folder `agents` of a project."""
    return tmp_path / "agents"


@pytest.fixture
async def other(tmp_path: Path) -> AsyncGenerator[Database]:
    async with Database.open(tmp_path / "other.db") as database:
        yield database


def copy_with_real_ids(source: Path, target: Path) -> None:
    """The runs were recorded with a model that counts its messages; real ones have ids of random signs."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(re.sub("(msg|toolu|req)_stub", r"\1_01RandomSignsOfModel", source.read_text()))


def copied_transcripts(name: str, folder: Path) -> Path:
    for file in projects(name).rglob("*.json*"):
        copy_with_real_ids(file, folder / file.relative_to(projects(name)))
    return folder


def adw_agent(agents: Path, name: str, sample: str | None = None, **prompts: str) -> Path:
    """What one agent of the workflow leaves: its output, and what it was told."""
    folder = agents / ADW / name
    (folder / "prompts").mkdir(parents=True)
    if sample is not None:
        copy_with_real_ids(stream(sample), folder / "raw_output.jsonl")
    for command, text in prompts.items():
        (folder / "prompts" / f"{command}.txt").write_text(text)
    return folder


def adw_state(agents: Path, **state: Any) -> None:
    (agents / ADW / "adw_state.json").write_text(json.dumps({"adw_id": ADW, **state}))


async def tree(db: Database) -> list[AgentNode]:
    return await db.sessions.tree(ADW)


async def test_a_workflow_is_a_session_with_its_agents_under_it(db: Database, agents: Path) -> None:
    adw_agent(agents, "sdlc_planner", SUBAGENTS, feature="/feature 42")
    adw_agent(agents, "sdlc_implementor", BASIC)
    adw_state(agents, issue_number="42", branch_name="feat-42", all_adws=["adw_plan_build_iso"])
    await import_adw(db, agents)
    assert [(node.name, node.agent_type, node.depth) for node in await tree(db)] == [
        ("adw_plan_build_iso", "orchestrator", 0),
        ("sdlc_implementor", "builder", 1),
        ("sdlc_planner", "planner", 1),
        ("code-reviewer", "reviewer", 2),
        ("general-purpose", "utility", 2),
        ("general-purpose", "utility", 2),
    ]
    root = await db.agents.get((await tree(db))[0].id)
    assert (root.context or {})["branch_name"] == "feat-42"


@pytest.mark.parametrize("name", [name for name in STREAMS if expected(name)["final_result"]["total_cost_usd"]])
async def test_a_workflow_costs_what_its_processes_reported(db: Database, agents: Path, name: str) -> None:
    adw_agent(agents, "builder", name)
    await import_adw(db, agents)
    session = await db.sessions.get(ADW)
    reported = expected(name)["final_result"]["total_cost_usd"]
    assert session.cost_usd == pytest.approx(Decimal(str(reported)), abs=Decimal("1e-6"))
    assert session.tokens_output == sum(
        usage["outputTokens"] for usage in expected(name)["final_result"]["modelUsage"].values()
    )


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("order", ["stream first", "transcripts first"])
async def test_transcripts_complete_what_a_stream_tells(
    db: Database, agents: Path, tmp_path: Path, name: str, order: str
) -> None:
    adw_agent(agents, "builder", name)
    transcripts = copied_transcripts(name, tmp_path / "projects")
    for source in ("stream", "transcripts") if order == "stream first" else ("transcripts", "stream"):
        await (import_adw(db, agents) if source == "stream" else import_claude_code(db, [transcripts]))
    session, truth = await db.sessions.get(ADW), expected(name)
    assert len(await db.sessions.list()) == 1
    assert session.agent_count == truth["agents"] + 1
    assert session.prompt_count - session.prompt_failed_count == truth["llm_calls"]
    assert session.tokens_output == truth["from_transcripts"]["output_tokens"]
    assert (session.cost_usd or 0) == Decimal(str(truth["cost_usd_genai_prices"]))


@pytest.mark.parametrize("name", STREAMS)
async def test_the_order_of_the_sources_changes_nothing(
    db: Database, other: Database, agents: Path, tmp_path: Path, name: str
) -> None:
    transcripts = copied_transcripts(name, tmp_path / "projects")
    adw_agent(agents, "builder", name, implement="/implement the plan")
    adw_agent(agents, "ops", commit="/commit")
    await import_adw(db, agents)
    await import_claude_code(db, [transcripts])
    await import_claude_code(other, [transcripts])
    await import_adw(other, agents)
    assert await contents(db) == await contents(other)


async def test_the_second_import_changes_nothing(db: Database, agents: Path) -> None:
    folder = adw_agent(agents, "sdlc_planner", SUBAGENTS, feature="/feature 42")
    adw_state(agents, issue_number="42")
    await import_adw(db, agents)
    position = await db.changes.last()
    assert (await import_adw(db, agents)).unchanged == 1
    os.utime(folder / "prompts" / "feature.txt", ns=(1, 1))
    assert (await import_adw(db, agents)).changed_rows == 0
    assert await db.changes.after(position) == []


async def test_the_command_that_an_agent_was_given_is_its_first_prompt(db: Database, agents: Path) -> None:
    adw_agent(agents, "sdlc_planner", BASIC, feature="/feature 42 do it")
    await import_adw(db, agents)
    prompt = (await db.prompts.list(prompt_type="command"))[-1]
    assert (prompt.prompt_name, prompt.prompt_text) == ("/feature", "/feature 42 do it")


async def test_what_an_agent_was_told_before_is_a_log(db: Database, agents: Path) -> None:
    folder = adw_agent(agents, "sdlc_planner", BASIC, feature="/feature 42", patch="/patch 42")
    os.utime(folder / "prompts" / "feature.txt", ns=(1, 1))
    await import_adw(db, agents)
    (log,) = await db.agent_logs.list(log_type="milestone")
    assert (log.message, log.details) == ("/feature", {"prompt": "/feature 42"})


async def test_an_agent_of_which_no_output_was_kept_is_there_all_the_same(db: Database, agents: Path) -> None:
    adw_agent(agents, "ops", commit="/commit")
    await import_adw(db, agents)
    assert [(node.name, node.status) for node in await tree(db)] == [("adw", "cancelled"), ("ops", "cancelled")]


async def test_an_agent_whose_output_has_not_begun_to_come_is_at_work_and_stays_one(db: Database, agents: Path) -> None:
    folder = adw_agent(agents, "builder", implement="/implement")
    (folder / "raw_output.jsonl").touch()
    await import_adw(db, agents)
    assert [(node.name, node.status) for node in await tree(db)] == [("adw", "executing"), ("builder", "executing")]
    copy_with_real_ids(stream(BASIC), folder / "raw_output.jsonl")
    await import_adw(db, agents)
    assert [(node.name, node.status) for node in await tree(db)] == [("adw", "completed"), ("builder", "completed")]


async def test_a_process_that_has_only_begun_is_at_work(db: Database, agents: Path) -> None:
    folder = adw_agent(agents, "builder")
    (folder / "raw_output.jsonl").write_text('{"type": "system", "subtype": "hook_started", "session_id": "s"}\n')
    await import_adw(db, agents)
    assert {node.status for node in await tree(db)} == {"executing"}


async def test_a_process_that_printed_its_result_only_costs_what_it_says(db: Database, agents: Path) -> None:
    folder = adw_agent(agents, "builder")
    result = {"type": "result", "session_id": "s", "is_error": False, "total_cost_usd": 0.0156025, "duration_ms": 323}
    (folder / "raw_output.jsonl").write_text(json.dumps(result))
    await import_adw(db, agents)
    session = await db.sessions.get(ADW)
    assert (session.agent_count, session.status, session.cost_usd) == (2, "completed", Decimal("0.0156025"))


async def test_a_deeper_agent_that_a_stream_only_names_stands_where_it_stood(db: Database, agents: Path) -> None:
    adw_agent(agents, "builder", NESTED)
    await import_adw(db, agents)
    assert [(node.name, node.depth, node.status) for node in await tree(db)] == [
        ("adw", 0, "completed"),
        ("builder", 1, "completed"),
        ("general-purpose", 2, "completed"),
        ("general-purpose", 3, "completed"),
    ]


async def test_requests_that_were_tried_again_are_known(db: Database, agents: Path) -> None:
    adw_agent(agents, "builder", "claude-code-retries")
    await import_adw(db, agents)
    assert len(await db.agent_logs.list(log_type="performance")) == expected("claude-code-retries")["llm_retries"]


@pytest.mark.parametrize("name", [name for name in STREAMS if name != "claude-code-retries"])
async def test_a_stream_adds_no_rows_to_those_of_its_transcripts(
    db: Database, other: Database, agents: Path, tmp_path: Path, name: str
) -> None:
    """Ids, counts, times and texts are those of the transcripts. A stream adds what only it tells: how often it tried."""
    transcripts = copied_transcripts(name, tmp_path / "projects")
    adw_agent(agents, "builder", name)
    await import_adw(db, agents)
    await import_claude_code(db, [transcripts])
    await import_claude_code(other, [transcripts])
    together, alone = await contents(db), await contents(other)
    assert together["prompts"] == alone["prompts"]
    assert together["logs"] == alone["logs"]
    assert len(together["agents"]) == len(alone["agents"]) + 1


async def test_a_workflow_ends_as_its_last_process_did(db: Database, agents: Path) -> None:
    adw_agent(agents, "sdlc_planner", BASIC)
    adw_agent(agents, "sdlc_implementor", "claude-code-fatal-error")
    await import_adw(db, agents)
    root = (await tree(db))[0]
    assert root.status == "failed"
    assert root.error_message is not None
    assert root.error_message.startswith("API Error: 400")


async def test_a_process_that_still_writes_is_at_work(db: Database, agents: Path) -> None:
    folder = adw_agent(agents, "sdlc_planner", BASIC)
    output = folder / "raw_output.jsonl"
    whole = output.read_bytes()
    output.write_bytes(
        b"".join(line for line in whole.splitlines(keepends=True) if b'"assistant"' in line or b'"init"' in line)[:-20]
    )
    await import_adw(db, agents)
    assert {node.status for node in await tree(db)} == {"executing"}
    output.write_bytes(whole)
    await import_adw(db, agents)
    assert {node.status for node in await tree(db)} == {"completed"}


async def test_a_damaged_state_and_a_damaged_output_cost_only_themselves(db: Database, agents: Path) -> None:
    adw_agent(agents, "sdlc_planner", BASIC)
    broken = adw_agent(agents, "builder")
    (broken / "raw_output.jsonl").write_bytes(b'\xff\xfe\n{"type": \n[]\n')
    (agents / ADW / "adw_state.json").write_bytes(b"{")
    await import_adw(db, agents)
    assert (await db.sessions.get(ADW)).agent_count == 3


async def test_other_folders_are_passed_over(db: Database, agents: Path) -> None:
    (agents / "notes").mkdir(parents=True)
    (agents / "notes" / "readme.md").write_text("nothing")
    assert (await import_adw(db, agents)).sessions == 0


async def test_one_workflow_can_be_named(db: Database, agents: Path) -> None:
    adw_agent(agents, "sdlc_planner", BASIC)
    assert (await import_adw(db, agents / ADW)).sessions == 1
    assert (await db.sessions.get(ADW)).agent_count == 2


async def test_a_folder_that_is_not_there_is_refused(db: Database, tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="nowhere"):
        await import_adw(db, tmp_path / "nowhere")


async def test_a_session_that_an_adw_ran_stays_the_adws_when_its_transcript_grows(
    db: Database, agents: Path, tmp_path: Path
) -> None:
    adw_agent(agents, "builder", BASIC)
    await import_adw(db, agents)
    copy = tmp_path / "p" / main_transcript(BASIC).name
    copy.parent.mkdir()
    for part in (2, 1):
        copy.write_bytes(main_transcript(BASIC).read_bytes()[: main_transcript(BASIC).stat().st_size // part])
        await import_claude_code(db, [copy])
    assert [session.session_id for session in await db.sessions.list()] == [ADW]
