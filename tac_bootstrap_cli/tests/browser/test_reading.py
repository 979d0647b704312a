"""Who reads is not moved, and comes back to where they were."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from playwright.async_api import Locator, Page, expect

from tac_orchestrator import Database

from .support import agent_row, session_path, session_row
from .workflows import BEGUN, Recording

AT_ONCE = 15
"""More changed sessions than are read one by one."""


async def read_on(page: Page, row: Locator) -> float:
    """Scrolls until the row is there; how far from the top of the window it stands."""
    while not await row.is_visible():
        await page.mouse.wheel(0, 400)
        await next_frame(page)
    await row.evaluate("(row) => window.scrollTo(0, scrollY + row.getBoundingClientRect().top - 300)")
    await next_frame(page)
    await next_frame(page)
    return await place_of(row)


async def place_of(row: Locator) -> float:
    return await row.evaluate("(row) => row.getBoundingClientRect().top")


async def next_frame(page: Page) -> None:
    await page.evaluate("() => new Promise(requestAnimationFrame)")


async def height(page: Page) -> int:
    return await page.evaluate("document.documentElement.scrollHeight")


@asynccontextmanager
async def some_more_sessions(db: Database) -> AsyncGenerator[None]:
    """Between those that are there already, and gone afterwards."""
    agents = [
        await Recording(db, f"between-{number}", BEGUN - timedelta(days=1, minutes=2.5)).agent("fixer", 0, 1)
        for number in range(AT_ONCE)
    ]
    yield
    for agent in agents:
        await db.agents.delete(agent.id)


async def test_sessions_that_come_move_nobody_who_reads_the_list(page: Page, seen_store: Path) -> None:
    await page.goto("/")
    await expect(page.get_by_role("table")).to_be_visible()
    row = session_row(page, "small-105")
    before, high = await read_on(page, row), await height(page)

    async with Database.open(seen_store) as db, some_more_sessions(db):
        while await height(page) < high + 50 * AT_ONCE:
            await next_frame(page)
        await expect(row).to_be_visible()

        assert abs(await place_of(row) - before) < 3


async def test_agents_that_begin_further_up_move_nobody_who_reads_the_tree(page: Page, seen_store: Path) -> None:
    async with Database.open(seen_store) as db:
        session = Recording(db, "grows while it is read")
        root = await session.agent("planner", 0, None)
        first = await session.agent("first builder", 1, None, root)
        for number in range(60):
            await session.agent(f"builder {number}", 2 + number, None, root)
        await page.goto(session_path(session.session_id))
        row = agent_row(page, "builder 45")
        await expect(agent_row(page, "planner")).to_be_visible()
        before = await read_on(page, row)

        for number in range(5):
            await session.agent(f"late builder {number}", 100, None, first)
        await expect(page.get_by_role("button", name="Agents 67")).to_be_visible()
        await expect(page.get_by_role("treegrid")).to_have_attribute("aria-rowcount", "67")

        assert abs(await place_of(row) - before) < 3


async def test_who_goes_back_comes_to_where_they_were(page: Page) -> None:
    await page.goto("/")
    await expect(page.get_by_role("table")).to_be_visible()
    row = session_row(page, "small-110")
    await read_on(page, row)
    await row.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("small-110")

    await page.go_back()

    await expect(row).to_be_in_viewport()


async def test_a_row_that_keys_lead_to_is_not_hidden_by_what_stays_at_the_top(page: Page, seen_store: Path) -> None:
    async with Database.open(seen_store) as db:
        session = Recording(db, "walked by keys")
        root = await session.agent("planner", 0, 100)
        for number in range(60):
            await session.agent(f"builder {number}", 1 + number, 100, root)
    await page.goto(session_path(session.session_id))
    await expect(agent_row(page, "planner")).to_be_visible()
    await page.get_by_role("treegrid").focus()
    await page.keyboard.press("End")
    await expect(agent_row(page, "builder 59")).to_be_in_viewport()
    await page.keyboard.press("Home")

    await expect(agent_row(page, "planner")).to_have_attribute("aria-selected", "true")
    await expect(agent_row(page, "planner")).to_be_in_viewport()
    head = await page.get_by_role("treegrid").locator(".head").evaluate("(head) => head.getBoundingClientRect().bottom")
    assert await place_of(agent_row(page, "planner")) >= head - 1


async def test_the_keyboard_goes_on_in_the_view_that_was_opened(page: Page) -> None:
    await page.goto("/?status=running")
    link = session_row(page, "issue-44").get_by_role("link")
    await link.focus()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("issue-44")
    await expect(page.locator("main")).to_be_focused()
    await page.keyboard.press("Tab")

    await expect(page.get_by_role("button", name="Copy name")).to_be_focused()
