"""One session: its agents as a tree and over time, what failed, its prompts and logs."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

from playwright.async_api import Locator, Page, expect

from tac_orchestrator import Database

from ..server.support import Server
from .support import agent_row, session_path
from .workflows import BEGUN, FAILED, GOOD, TAIL_COUNT, Recording

TREE = [
    ("sdlc_planner", 1),
    ("long builder", 2),
    ("researcher", 3),
    ("summarizer", 4),
    ("reader", 5),
    ("short builder", 2),
    ("reviewer", 2),
]


async def rows_of(page: Page) -> list[tuple[str, int]]:
    rows = await page.get_by_role("treegrid").locator("[aria-level]").all()
    return [
        (
            await row.get_by_role("gridcell").first.locator(".one-line").inner_text(),
            int(await row.get_attribute("aria-level") or 0),
        )
        for row in rows
    ]


async def extent(row: Locator) -> tuple[float, float]:
    """Where on the screen the bar of this agent begins and ends."""
    box = await row.locator("rect.bar").bounding_box()
    assert box is not None
    return box["x"], box["x"] + box["width"]


async def test_agents_are_a_tree_at_any_depth(page: Page) -> None:
    await page.goto(session_path(GOOD))
    await expect(agent_row(page, "reviewer")).to_be_visible()

    assert await rows_of(page) == TREE


async def test_each_row_has_the_totals_of_its_branch(page: Page) -> None:
    await page.goto(session_path(GOOD))

    await expect(agent_row(page, "sdlc_planner").get_by_role("gridcell").nth(3)).to_have_text("$0.0453+?")
    await expect(agent_row(page, "long builder").get_by_role("gridcell").nth(2)).to_have_text("2.9k")
    await expect(agent_row(page, "long builder").get_by_role("gridcell").nth(3)).to_have_text("$0.0195")
    await expect(agent_row(page, "reviewer").get_by_role("gridcell").nth(3)).to_have_text("–")


async def test_agents_that_worked_at_once_are_side_by_side_in_time(page: Page) -> None:
    await page.goto(session_path(GOOD))
    planner, long, short, reviewer = [
        await extent(agent_row(page, name)) for name in ("sdlc_planner", "long builder", "short builder", "reviewer")
    ]

    assert abs(long[0] - short[0]) < 1
    assert short[1] < long[1] < reviewer[0] < reviewer[1] < planner[1]
    share = (long[1] - long[0]) / (planner[1] - planner[0])
    assert abs(share - 0.5) < 0.01


async def test_the_critical_path_is_marked(page: Page) -> None:
    await page.goto(session_path(GOOD))
    await expect(agent_row(page, "reviewer")).to_be_visible()
    marked = page.get_by_role("treegrid").locator("[aria-level]").filter(has_text="on the critical path")

    await expect(marked).to_have_count(len(TREE) - 1)
    await expect(marked.filter(has_text="short builder")).to_have_count(0)
    await expect(marked.locator("rect.critical")).to_have_count(len(TREE) - 1)


async def test_branches_close_and_open(page: Page) -> None:
    await page.goto(session_path(GOOD))
    await agent_row(page, "long builder").get_by_role("button", name="Close").click()
    await expect(agent_row(page, "researcher")).to_have_count(0)
    assert await rows_of(page) == [row for row in TREE if row[0] not in ("researcher", "summarizer", "reader")]

    await agent_row(page, "long builder").get_by_role("button", name="Open").click()
    await expect(agent_row(page, "reader")).to_be_visible()


async def test_the_tree_is_walked_by_keys(page: Page) -> None:
    await page.goto(session_path(GOOD))
    await page.get_by_role("treegrid").focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowLeft"):
        await page.keyboard.press(key)

    await expect(agent_row(page, "researcher")).to_have_count(0)
    await expect(agent_row(page, "long builder")).to_have_attribute("aria-selected", "true")
    await page.keyboard.press("End")
    await expect(page.get_by_role("complementary", name="Agent reviewer")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("complementary")).to_have_count(0)


async def test_time_can_be_looked_at_closely(page: Page) -> None:
    await page.goto(session_path(GOOD))
    before = await extent(agent_row(page, "long builder"))
    await page.get_by_role("button", name="Zoom in").click()
    near = await extent(agent_row(page, "long builder"))
    await page.get_by_role("button", name="Later").click()
    later = await extent(agent_row(page, "reviewer"))
    await page.get_by_role("treegrid").press("0")

    assert near[1] - near[0] > 1.4 * (before[1] - before[0]) or near[0] != before[0]
    assert later[1] - later[0] > 1.9 * 0.33 * (before[1] - before[0])
    assert await extent(agent_row(page, "long builder")) == before


async def test_a_part_of_the_time_is_chosen_by_dragging(page: Page) -> None:
    await page.goto(session_path(GOOD))
    first, last = await extent(agent_row(page, "long builder"))
    axis = await page.get_by_title("Drag to zoom in").bounding_box()
    assert axis is not None
    await page.mouse.move(first, axis["y"] + 5)
    await page.mouse.down()
    await page.mouse.move(last, axis["y"] + 5)
    await page.mouse.up()

    shown = await extent(agent_row(page, "long builder"))
    assert shown[1] - shown[0] > 0.98 * axis["width"]


async def test_an_agent_is_told_of_and_a_link_leads_to_it(page: Page) -> None:
    await page.goto(session_path(GOOD))
    await agent_row(page, "sdlc_planner").get_by_text("sdlc_planner").click()
    panel = page.get_by_role("complementary", name="Agent sdlc_planner")
    await expect(page).to_have_url(re.compile(r"\?agent="))
    await page.reload()

    await expect(panel.get_by_role("link")).to_have_text(["plan: Plan it. First.", "adw: Check it.", "adw: Close it."])
    await expect(panel).to_contain_text("$0.0258+?")
    await expect(panel).to_contain_text("$0.0453+?")
    await expect(panel).to_contain_text("Read a.py")
    await panel.get_by_role("button", name="Close").click()
    await expect(page).to_have_url(re.compile(session_path(GOOD) + "$"))


async def test_a_click_on_a_prompt_of_a_lane_opens_it(page: Page) -> None:
    await page.goto(session_path(GOOD))
    mark = await agent_row(page, "long builder").locator("path.prompt").bounding_box()
    assert mark is not None
    await page.mouse.move(mark["x"] + mark["width"] / 2, mark["y"] + mark["height"] / 2)
    await expect(agent_row(page, "long builder").locator("[title*='Build it.']")).to_be_visible()
    await page.mouse.down()
    await page.mouse.up()

    await expect(page.get_by_role("region", name="Request")).to_contain_text("Build it.")


async def test_what_failed_is_told_where_it_failed(page: Page) -> None:
    await page.goto(session_path(FAILED))
    note = page.get_by_role("region", name="What failed")

    await expect(note.get_by_role("link")).to_have_text(["tester", "Prompt: adw"])
    await expect(note).to_contain_text("exit code 1")
    await expect(note).to_contain_text("1 failed in 0.1s")
    await expect(note).to_contain_text("overloaded_error: try later")
    await note.get_by_role("link", name="tester").click()
    await expect(page.get_by_role("complementary", name="Agent tester")).to_be_visible()


async def test_prompts_are_listed_in_their_order(page: Page) -> None:
    await page.goto(session_path(GOOD))
    await page.get_by_role("button", name="Prompts 4").click()

    await expect(page).to_have_url(re.compile(r"view=prompts"))
    await expect(page.locator(".text.one-line")).to_have_text(["Plan it. First.", "Check it.", "Build it.", "Close it."])
    await page.get_by_role("link", name="plan").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("plan")


async def test_logs_are_filtered_by_what_the_address_says(page: Page) -> None:
    await page.goto(session_path(FAILED, "?view=logs"))
    await expect(page.get_by_role("log").get_by_role("article").first).to_contain_text("pytest -q")
    await page.get_by_label("Kind").select_option("milestone")
    await expect(page.get_by_role("log").get_by_role("article").first).to_contain_text(f"step {TAIL_COUNT - 1}")
    await page.get_by_label("Level").select_option("ERROR")
    await expect(page).to_have_url(re.compile(r"(?=.*view=logs)(?=.*type=milestone)(?=.*level=ERROR)"))
    await expect(page.get_by_role("heading", name="Nothing was logged")).to_be_visible()


async def test_a_log_tells_more_on_asking(page: Page) -> None:
    await page.goto(session_path(FAILED, "?view=logs&level=ERROR"))
    await page.get_by_role("log").get_by_role("button", name="more").click()

    await expect(page.get_by_role("log")).to_contain_text("E   assert 1 == 2")


async def test_a_link_to_an_old_log_leads_to_it(page: Page, seen: Server) -> None:
    """Hundreds that are newer do not stand before it."""
    oldest = seen.get("/api/search", params={"words": '"step 3"'}).json()[-1]["id"]
    await page.goto(session_path(FAILED, f"?view=logs&log={oldest}"))

    await expect(page.get_by_role("log").get_by_role("article").first).to_contain_text("step 3")
    await page.get_by_role("button", name="Show the newest").click()
    await expect(page.get_by_role("log").get_by_role("article").first).to_contain_text("pytest -q")


async def test_a_session_that_is_not_there_is_told(page: Page, complaints: list[str]) -> None:
    await page.goto(session_path("nobody"))
    await expect(page.get_by_role("heading", name="There is no such session")).to_be_visible()
    await page.get_by_role("link", name="All sessions", exact=True).click()
    await expect(page.get_by_role("heading", name="Sessions", exact=True)).to_be_visible()

    assert all("404" in one for one in complaints)
    complaints.clear()


async def test_a_critical_log_is_an_error_and_the_reason(page: Page, seen_store: Path) -> None:
    async with Database.open(seen_store) as db:
        session = Recording(db, "on fire")
        agent = await session.agent("planner", 0, 10, status="failed")
        await session.log(agent, 4, "tool_call", "df", log_level="ERROR", details={"output": "no space left"})
        await session.log(agent, 5, "error", "the disk is on fire", log_level="CRITICAL")
    await page.goto(session_path(session.session_id))

    await expect(page.get_by_role("region", name="What failed")).to_contain_text("the disk is on fire")
    await expect(page.get_by_role("region", name="What failed").locator("pre")).to_have_text("no space left")
    await expect(agent_row(page, "planner").locator("path.error")).to_be_visible()


async def test_figures_are_rounded_to_the_next_sign_and_names_leave_room_for_reasons(page: Page, seen_store: Path) -> None:
    async with Database.open(seen_store) as db:
        session = Recording(db, "large and long", BEGUN - timedelta(days=20))
        agent = await session.agent("builder " * 40, 0, 10, status="failed", error_message="the reason is told in one line")
        await session.agent("tester", 5, None)
        figures: dict[str, Any] = {"tokens_input": 999_999, "tokens_output": 1, "cost_usd": "0.99999"}
        await session.prompt(agent, 1, 2, "Build it.", "Built.", cost_source="reported", **figures)
    await page.goto(session_path(session.session_id))

    await expect(page.locator("main header")).to_contain_text("2 1 running 1 failed")
    await expect(page.locator("main header")).to_contain_text("1M in 1 out")
    await expect(page.locator("main header")).to_contain_text("$1.00")
    box = await page.get_by_text("the reason is told in one line").first.bounding_box()
    assert box is not None
    assert box["height"] < 40


async def test_what_is_left_out_beside_an_agent_is_told(page: Page, seen_store: Path) -> None:
    async with Database.open(seen_store) as db:
        session = Recording(db, "talks a lot")
        agent = await session.agent("builder", 0, 1000)
        for number in range(103):
            await session.prompt(agent, number, number + 1, f"Go on with {number}.", "Done.")
    await page.goto(session_path(session.session_id, f"?agent={agent.id}"))

    await expect(page.get_by_role("complementary")).to_contain_text("and 3 prompts more")


async def test_a_day_is_named_where_it_is_another_one(page: Page, seen_store: Path) -> None:
    async with Database.open(seen_store) as db:
        await db.system_logs.create("backup", "an old one", created_at=BEGUN - timedelta(days=3))
        session = Recording(db, "two days", BEGUN - timedelta(days=5))
        agent = await session.agent("builder", 0, 90_000)
        await session.log(agent, 1, "milestone", "on the first day")
        await session.log(agent, 86_401, "milestone", "on the second day")
    logs = page.get_by_role("log").get_by_role("article")
    await page.goto("/system?component=backup")
    await expect(logs.filter(has_text="an old one").locator("time")).to_have_text(
        re.compile(r"^\d+ \w+.*, \d\d:\d\d:\d\d\.250$")
    )
    await page.goto(session_path(session.session_id, "?view=logs"))

    await expect(logs.filter(has_text="first day").locator("time")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d\.250$"))
    await expect(logs.filter(has_text="second day").locator("time")).to_have_text(re.compile(r"^\d+ \w+.*, \d\d:"))
