"""Search from everywhere, by keyboard."""

from __future__ import annotations

import re

from playwright.async_api import Locator, Page, expect

from .workflows import FAILED, GOOD


def found(page: Page) -> Locator:
    return page.get_by_role("dialog", name="Search").get_by_role("option")


async def test_words_are_found_and_opened_by_keyboard(page: Page) -> None:
    await page.goto("/agents")
    await page.keyboard.press("Control+k")
    await page.keyboard.type('"review passed"')
    await expect(found(page)).to_have_count(1)
    await expect(found(page).locator("mark")).to_have_text("review passed")
    await page.keyboard.press("Enter")

    await expect(page).to_have_url(re.compile(rf"/sessions/{GOOD}\?view=logs"))
    await expect(page.get_by_role("log").get_by_role("article").first).to_contain_text("review passed")
    await expect(page.get_by_role("dialog")).to_have_count(0)


async def test_prompts_are_found_by_their_answers(page: Page) -> None:
    await page.goto("/")
    await page.get_by_role("button", name="Search").click()
    await page.keyboard.type("manual")
    await expect(found(page)).to_have_count(1)
    await found(page).click()

    await expect(page.get_by_role("heading", level=1)).to_have_text("plan")


async def test_sessions_are_found_by_their_names(page: Page) -> None:
    await page.goto("/system")
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await page.keyboard.press("/")
    await page.keyboard.type("issue-4")
    await expect(found(page).first).to_contain_text("session")
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("heading", level=1)).to_have_text(FAILED)


async def test_what_nothing_holds_is_said_and_escape_leads_back(page: Page) -> None:
    await page.goto("/")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("unfindable")
    await expect(page.get_by_text("Nothing holds these words.")).to_be_visible()
    await page.keyboard.press("Escape")

    await expect(page.get_by_role("dialog")).to_have_count(0)
    await expect(page.get_by_role("heading", name="Sessions", exact=True)).to_be_visible()


async def test_signs_alone_are_no_error(page: Page, complaints: list[str]) -> None:
    await page.goto("/")
    await page.keyboard.press("Control+k")
    await page.keyboard.type('"*')
    await expect(page.get_by_text("Nothing holds these words.")).to_be_visible()

    complaints.clear()


async def test_who_types_fast_comes_to_the_first_hit(page: Page) -> None:
    await page.goto("/")
    await page.keyboard.press("Control+k")
    await page.keyboard.type("small-077")
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("heading", level=1)).to_have_text("small-077")
