"""What another process records appears as it is committed, and nothing is missed while the server is away."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tac_orchestrator import Database

from ..server.support import Server, serving
from .support import Complaints, Mortal, agent_row, go_on, opened, recorder, session_path, session_row
from .workflows import BEGUN, FAILED, Recording

MORE_THAN_ARE_LOADED = 21_000

_GROWS = """
async with db.agents.run("planner", session_id="{session_id}") as planner:
    await told()
    async with planner.spawn("builder") as builder:
        async with builder.prompt("adw", name="build", text="Build it.", model="claude-sonnet-4-5") as prompt:
            await told()
            prompt.answer("It is **built**.", tokens_input=1000, tokens_output=100)
        await builder.log("milestone", "built as planned")
        await told()
"""


async def test_a_session_of_another_process_grows_in_the_list(page: Page, seen_store: Path) -> None:
    await page.goto("/")
    await expect(session_row(page, FAILED)).to_be_visible()
    row = session_row(page, "grows-1")

    with recorder(seen_store, _GROWS.format(session_id="grows-1")) as process:
        await expect(row).to_contain_text("1 agent 1 running")
        go_on(process)
        await expect(row).to_contain_text("2 agents 2 running")
        go_on(process)
        await expect(row).to_contain_text("$0.0045")
        go_on(process)
        await expect(row).to_contain_text("completed")
    await expect(row).not_to_contain_text("running")


async def test_its_tree_lanes_prompts_and_totals_grow(page: Page, seen_store: Path) -> None:
    with recorder(seen_store, _GROWS.format(session_id="grows-2")) as process:
        await page.goto("/")
        await session_row(page, "grows-2").click()
        await expect(agent_row(page, "planner")).to_contain_text("executing")
        go_on(process)
        await expect(agent_row(page, "builder")).to_have_attribute("aria-level", "2")
        await expect(agent_row(page, "builder").locator("path.prompt")).to_be_visible()
        go_on(process)
        await expect(agent_row(page, "planner").get_by_role("gridcell").nth(3)).to_have_text("$0.0045")
        await expect(page.get_by_role("button", name="Prompts 1")).to_be_visible()
        go_on(process)
        await expect(agent_row(page, "planner")).to_contain_text("completed")
    await expect(page.get_by_role("treegrid").get_by_text("executing")).to_have_count(0)


async def test_a_prompt_that_waits_shows_its_answer_when_it_comes(page: Page, seen: Server, seen_store: Path) -> None:
    with recorder(seen_store, _GROWS.format(session_id="grows-3")) as process:
        await page.goto("/")
        await session_row(page, "grows-3").click()
        go_on(process)
        await page.get_by_role("button", name="Prompts 1").click()
        await page.get_by_role("link", name="build").click()
        await expect(page.get_by_text("There is no text of an answer.")).to_be_visible()
        go_on(process)
        await expect(page.get_by_role("region", name="Answer").locator("strong")).to_have_text("built")
        await expect(page.locator("dl")).to_contain_text("$0.0045")
        go_on(process)


async def test_costs_of_agents_grow_where_not_all_prompts_are_loaded(
    browser: Browser, complaints: Complaints, path: Path
) -> None:
    async with Database.open(path) as db:
        agent = await Recording(db, "vast").agent("builder", 0, None)
        common = {"agent_id": agent.id, "prompt_type": "adw", "prompt_text": "", "status": "completed"}
        await db.prompts.create_many([{**common, "cost_usd": Decimal("0.0001")}] * MORE_THAN_ARE_LOADED)
        with serving(path) as server:
            async with opened(browser, server, complaints, session_path("vast")) as page:
                cost = agent_row(page, "builder").get_by_role("gridcell").nth(3)
                await expect(cost).to_have_text("$2.10")

                await db.prompts.create(agent.id, "adw", "one more", status="completed", cost_usd=Decimal("0.5"))
                await expect(cost).to_have_text("$2.60")


async def test_a_session_that_is_looked_for_too_early_appears_when_it_begins(
    page: Page, seen_store: Path, complaints: Complaints
) -> None:
    await page.goto(session_path("early"))
    await expect(page.get_by_role("heading", name="There is no such session")).to_be_visible()
    async with Database.open(seen_store) as db:
        await Recording(db, "early").agent("planner", 0, None)

    await expect(agent_row(page, "planner")).to_be_visible()
    await expect(page.get_by_role("heading", level=1)).to_have_text("early")
    assert all("404" in one for one in complaints.taken())


async def test_logs_come_in_at_the_top_and_move_nobody_who_reads(page: Page, seen_store: Path) -> None:
    async with Database.open(seen_store) as db:
        agent = await Recording(db, "tailed").agent("builder", 0, None)
        for number in range(100):
            await db.agent_logs.create(agent.id, "milestone", f"line {number}")
        await page.goto(session_path("tailed", "?view=logs"))
        top = page.get_by_role("log").get_by_role("article").first
        await expect(top).to_contain_text("line 99")
        await db.agent_logs.create(agent.id, "milestone", "line 100")
        await expect(top).to_contain_text("line 100")

        await page.mouse.wheel(0, 1500)
        await expect(top).not_to_contain_text("line 100")
        place = await page.evaluate("scrollY")
        await db.agent_logs.create(agent.id, "milestone", "line 101")
        await page.get_by_role("button", name="1 new entry").click()
        await expect(top).to_contain_text("line 101")

    assert place > 1000


@pytest.fixture
def mortal(path: Path, unused_tcp_port: int) -> Generator[Mortal]:
    asyncio.run(_begin(path))
    server = Mortal(path, unused_tcp_port)
    server.start()
    yield server
    server.kill()


async def _begin(path: Path) -> None:
    async with Database.open(path) as db:
        await Recording(db, "survives").agent("planner", 0, None)


def server_at(port: int) -> Server:
    return Server(port, [port], "", 0)


async def test_a_server_that_is_killed_is_told_and_nothing_is_missed_when_it_is_back(
    browser: Browser, complaints: Complaints, mortal: Mortal, path: Path, unused_tcp_port: int
) -> None:
    async with (
        opened(browser, server_at(unused_tcp_port), complaints, session_path("survives", "?view=logs")) as page,
        Database.open(path) as db,
    ):
        agent = (await db.agents.list(session_id="survives"))[0]
        logs = page.get_by_role("log").get_by_role("article")
        await db.agent_logs.create(agent.id, "milestone", "line 0")
        await expect(logs).to_have_count(1)

        mortal.kill()
        await expect(page.get_by_role("status")).to_contain_text("The server does not answer.")
        for number in range(1, 20):
            await db.agent_logs.create(agent.id, "milestone", f"line {number}")
        await Recording(db, "survives").agent("tester", 5, None)
        mortal.start()

        await expect(page.get_by_role("status")).to_have_count(0)
        await expect(page.get_by_role("button", name="Agents 2")).to_be_visible()
        await expect(logs.locator(".message")).to_have_text([f"line {number}" for number in reversed(range(20))])
        await db.agent_logs.create(agent.id, "milestone", "line 20")
        await expect(logs.first).to_contain_text("line 20")
    assert all("ERR_" in one or "WebSocket" in one for one in complaints.taken())


async def test_a_view_that_was_opened_while_the_server_was_away_heals(
    browser: Browser, complaints: Complaints, mortal: Mortal, path: Path, unused_tcp_port: int
) -> None:
    async with Database.open(path) as db:
        agent = (await db.agents.list(session_id="survives"))[0]
        await Recording(db, "survives").prompt(agent, 1, 2, "Do it.", "Done.", prompt_name="do")
    async with opened(browser, server_at(unused_tcp_port), complaints, session_path("survives", "?view=prompts")) as page:
        link = page.get_by_role("link", name="do", exact=True)
        await expect(link).to_be_visible()
        mortal.kill()
        await expect(page.get_by_role("status")).to_be_visible()
        mortal.start()
        await page.get_by_role("button", name="Try now").click()
        await expect(page.get_by_role("status")).to_have_count(0)
        await link.click()
        await expect(page.get_by_role("region", name="Answer")).to_contain_text("Done.")
        mortal.kill()
        await page.go_back()
        await expect(page.get_by_text("The server does not answer.").first).to_be_visible()
        await page.go_forward()
        await expect(page.get_by_role("alert")).to_contain_text("Start it again: tac-orch serve")
        mortal.start()
        await expect(page.get_by_role("region", name="Answer")).to_contain_text("Done.")
    complaints.clear()


async def test_a_session_that_is_removed_while_it_is_shown_is_told(
    page: Page, seen_store: Path, complaints: Complaints
) -> None:
    async with Database.open(seen_store) as db:
        agent = await Recording(db, "removed").agent("planner", 0, 10)
        await page.goto(session_path("removed"))
        await expect(agent_row(page, "planner")).to_be_visible()
        await db.agents.delete(agent.id)

    await expect(page.get_by_role("heading", name="There is no such session")).to_be_visible()
    await expect(page.get_by_text("completed")).to_have_count(0)
    assert all("404" in one for one in complaints.taken())


async def test_what_a_kind_of_agent_costs_grows_with_each_answer(page: Page, seen_store: Path) -> None:
    async with Database.open(seen_store) as db:
        session = Recording(db, "costs while it runs", BEGUN - timedelta(days=20))
        agent = await session.agent("costly builder", 0, None)
        await page.goto("/agents")
        row = page.get_by_role("row", name="costly builder")
        await expect(row).to_be_visible()
        await session.prompt(agent, 1, 2, "Build it.", "Built.", cost_usd="7.77", cost_source="reported")

        await expect(row).to_contain_text("$7.77")


async def test_the_reason_is_that_of_the_newest_failure(page: Page, seen_store: Path) -> None:
    async with Database.open(seen_store) as db:
        session = Recording(db, "fails twice")
        await session.agent("planner", 0, 10, status="failed", error_message="the first reason")
        await page.goto("/")
        row = session_row(page, session.session_id)
        await expect(row).to_contain_text("the first reason")
        await session.agent("tester", 5, 10, status="failed", error_message="the second reason")

        await expect(row).to_contain_text("the second reason")


async def test_the_reason_is_not_a_failure_that_was_survived(page: Page, seen_store: Path) -> None:
    async with Database.open(seen_store) as db:
        session = Recording(db, "killed later")
        planner = await session.agent("planner", 0, 60, status="failed", error_message="its process is gone")
        await session.agent("tester", 5, 10, planner, status="failed", error_message="a test failed")
        await session.agent("fixer", 12, 20, planner)
    await page.goto("/")
    await expect(session_row(page, session.session_id)).to_contain_text("its process is gone")
    await page.goto(session_path(session.session_id))

    await expect(page.get_by_role("region", name="What failed").get_by_role("link")).to_have_text(["planner", "tester"])
