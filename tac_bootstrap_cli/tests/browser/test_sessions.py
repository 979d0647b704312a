"""The list of sessions: what runs, what it cost, and what is looked for."""

from __future__ import annotations

import re

from playwright.async_api import Page, expect

from .conftest import Opened
from .support import PHONE, session_path, session_row
from .workflows import FAILED, GOOD, RUNNING, SMALL_COUNT, STRANGE


async def test_a_session_is_told_in_one_row(page: Page) -> None:
    await page.goto("/")
    cells = session_row(page, GOOD).get_by_role("cell")

    await expect(cells.nth(0)).to_have_text("completed")
    await expect(cells.nth(3)).to_have_text("1 min 40 s")
    await expect(cells.nth(4)).to_have_text("7 agents")
    await expect(cells.nth(5)).to_have_text("13k in 1.41k out")
    await expect(cells.nth(6)).to_have_text("$0.0453+?")


async def test_what_runs_and_what_failed_is_told_with_the_reason(page: Page) -> None:
    await page.goto("/")

    await expect(session_row(page, RUNNING)).to_contain_text("2 running")
    await expect(session_row(page, FAILED)).to_contain_text("exit code 1")


async def test_costs_are_summed(page: Page) -> None:
    await page.goto("/")

    await expect(page.get_by_role("region", name="Costs")).to_contain_text(
        re.compile(r"7 days\$1\.3\d\+\?.*claude-sonnet-4-5\$1\.3\d", re.S)
    )


async def test_filters_are_in_the_address(page: Page) -> None:
    await page.goto("/")
    await page.get_by_label("State").select_option("failed")

    await expect(page).to_have_url(re.compile(r"/\?status=failed$"))
    await expect(session_row(page, FAILED)).to_be_visible()
    await expect(session_row(page, GOOD)).to_have_count(0)

    await page.reload()
    await expect(session_row(page, FAILED)).to_be_visible()
    await expect(page.get_by_label("State")).to_have_value("failed")
    await expect(session_row(page, GOOD)).to_have_count(0)


async def test_filters_that_nothing_meets_can_be_let_go_of(page: Page) -> None:
    await page.goto("/?status=failed&since=1h")

    await page.get_by_role("button", name="Show all sessions").click()

    await expect(page).to_have_url(re.compile(r"/$"))
    await expect(session_row(page, GOOD)).to_be_visible()


async def test_a_list_goes_on_where_one_scrolls_to(page: Page) -> None:
    await page.goto("/")
    await expect(session_row(page, GOOD)).to_be_visible()
    last = session_row(page, f"small-{SMALL_COUNT - 1:03}")

    while not await last.is_visible():
        await page.mouse.wheel(0, 4000)
        await page.evaluate("() => new Promise(requestAnimationFrame)")

    assert await page.get_by_role("row").count() < 60  # only those in sight are there


async def test_the_whole_row_leads_to_the_session_whatever_its_name_is(page: Page) -> None:
    await page.goto("/")
    await session_row(page, STRANGE).click()

    await expect(page.get_by_role("heading", level=1)).to_have_text(STRANGE)
    await expect(page).to_have_url(re.compile(re.escape(session_path(STRANGE)[-8:]) + "$"))
    await page.reload()
    await expect(page.get_by_role("heading", level=1)).to_have_text(STRANGE)
    await page.go_back()
    await expect(session_row(page, STRANGE)).to_be_visible()


async def test_times_are_those_of_the_reader_and_utc_on_asking(open_page: Opened) -> None:
    async with open_page("/", timezone_id="Asia/Kolkata") as page:
        time = session_row(page, GOOD).locator("time")
        told, shown = await time.get_attribute("title"), await time.inner_text()
        hour, minute = await page.evaluate(
            "(text) => { const at = new Date(text); return [at.getHours(), at.getMinutes()] }",
            await time.get_attribute("datetime"),
        )

    assert told is not None
    assert told.endswith(" UTC")
    assert f"{hour:02}:{minute:02}:" in shown
    assert told[11:16] != f"{hour:02}:{minute:02}"


async def test_a_thumb_finds_its_way(open_page: Opened) -> None:
    async with open_page("/", size=PHONE, has_touch=True, is_mobile=True) as page:
        await session_row(page, FAILED).tap()
        await page.get_by_role("row").filter(has=page.get_by_text("tester", exact=True)).tap()

        await expect(page.get_by_role("complementary", name="Agent tester")).to_be_in_viewport()
