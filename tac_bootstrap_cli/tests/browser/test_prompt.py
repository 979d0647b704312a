"""One prompt: what was asked and answered, by which model, for how much."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tac_orchestrator import Database

from ..server.support import Server
from .conftest import Opened
from .support import prompt_id
from .workflows import GOOD, MARKDOWN, Recording


@pytest.fixture(scope="module")
def plan(seen: Server) -> str:
    return f"/prompts/{prompt_id(seen, GOOD, 'Plan it.')}"


@pytest.fixture(scope="module")
def check(seen: Server) -> str:
    return f"/prompts/{prompt_id(seen, GOOD, 'Check it.')}"


async def test_texts_are_shown_as_markdown(page: Page, plan: str) -> None:
    await page.goto(plan)
    answer = page.get_by_role("region", name="Answer")

    await expect(answer.get_by_role("heading", name="Plan", exact=True, level=3)).to_be_visible()
    await expect(answer.locator("em")).to_have_text("first")
    await expect(answer.get_by_role("cell")).to_have_text(["1", "a.py"])
    await expect(answer.locator("pre code")).to_have_text('print("done")\n')
    link = answer.get_by_role("link", name="The manual")
    await expect(link).to_have_attribute("href", "https://manual.example/page")
    await expect(link).to_have_attribute("rel", re.compile("noopener.*noreferrer"))


async def test_texts_are_shown_as_they_are_on_asking(page: Page, plan: str) -> None:
    await page.goto(plan)
    await page.get_by_role("button", name="Raw").click()
    raw = page.get_by_role("region", name="Answer").locator("pre")

    await expect(raw).to_have_text(MARKDOWN)
    await page.reload()
    await expect(raw).to_have_text(MARKDOWN)
    await expect(page).to_have_url(re.compile(r"\?form=raw$"))


async def test_tokens_are_told_with_their_cache_and_the_cost_with_its_source(page: Page, plan: str) -> None:
    await page.goto(plan)
    facts = page.locator("dl")

    await expect(facts).to_contain_text("claude-sonnet-4-5")
    await expect(facts).to_contain_text("5.0 s")
    await expect(facts).to_contain_text("Tokens in10,0002,000 new6,000 read from cache2,000 written to cacheTokens out400")
    await expect(facts).to_contain_text(re.compile(r"\$0\.0213\s*priced from its tokens\s*genai-prices"))


async def test_what_is_not_known_is_said_to_be_so(page: Page, seen: Server) -> None:
    await page.goto(f"/prompts/{prompt_id(seen, GOOD, 'Close it.')}")

    await expect(page.locator("dl")).to_contain_text(re.compile(r"Cost\s*not known"))
    await expect(page.get_by_text("There is no text of an answer.")).to_be_visible()


async def test_tools_are_those_that_this_answer_called(page: Page, plan: str, check: str) -> None:
    await page.goto(check)
    tools = page.get_by_role("region", name="Tools that the answer called")

    await expect(tools.locator("strong")).to_have_text(["Read a.py", "Bash a.py"])
    await tools.get_by_text("Arguments and result").first.click()
    await expect(tools.locator("pre").first).to_contain_text('"path": "a.py"')
    await page.goto(plan)
    await expect(page.get_by_role("region", name="Answer")).to_be_visible()
    await expect(tools).to_have_count(0)


async def test_the_next_and_the_previous_are_one_step_away(page: Page, check: str) -> None:
    await page.goto(f"{check}?form=raw")
    await expect(page.get_by_text("2 of 3")).to_be_visible()
    await page.keyboard.press("[")
    await expect(page.get_by_text("1 of 3")).to_be_visible()
    await expect(page).to_have_url(re.compile(r"\?form=raw$"))
    await expect(page.get_by_role("link", name="Previous")).to_have_count(0)
    await page.get_by_role("link", name="Next").click()
    await expect(page.get_by_text("2 of 3")).to_be_visible()
    await page.keyboard.press("]")
    await expect(page.get_by_text("3 of 3")).to_be_visible()
    await page.get_by_role("navigation", name="Where this is").get_by_role("link", name=GOOD).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(GOOD)


async def test_an_answer_is_copied_as_it_was_written(open_page: Opened, plan: str) -> None:
    async with open_page(plan, permissions=["clipboard-read", "clipboard-write"]) as page:
        await page.get_by_role("region", name="Answer").get_by_role("button", name="Copy").click()
        await expect(page.get_by_role("button", name="Copied")).to_be_visible()

        assert await page.evaluate("navigator.clipboard.readText()") == MARKDOWN


async def test_a_prompt_that_is_not_there_is_told(page: Page, complaints: list[str]) -> None:
    await page.goto("/prompts/00000000-0000-4000-8000-00000000dead")
    await expect(page.get_by_role("heading", name="There is no such prompt")).to_be_visible()

    assert all("404" in one for one in complaints)
    complaints.clear()


async def test_of_large_details_the_beginning_is_shown(page: Page, seen_store: Path) -> None:
    async with Database.open(seen_store) as db:
        session = Recording(db, "large details")
        agent = await session.agent("builder", 0, 10)
        prompt = await session.prompt(agent, 1, 2, "Build it.", "Built.", details={"output": "x" * 400_000})
    await page.goto(f"/prompts/{prompt.id}")
    await page.get_by_text("Details", exact=True).click()
    await page.get_by_role("button", name=re.compile(r"Show the other 100,\d+ characters")).click()

    await expect(page.locator("details pre")).to_have_text(re.compile("^.{400000,}$", re.S))
