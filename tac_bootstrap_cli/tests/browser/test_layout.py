"""The page on a phone, in the dark, by keyboard, and with nothing to show."""

from __future__ import annotations

import re
from collections.abc import Generator

import pytest
from playwright.async_api import Browser, Page, expect

from ..server.support import Server, serving
from .conftest import Opened
from .support import PHONE, Complaints, opened


async def ground(page: Page) -> str:
    return await page.evaluate("getComputedStyle(document.body).backgroundColor")


async def test_colours_are_the_systems_until_somebody_chooses(open_page: Opened) -> None:
    async with open_page("/agents") as page:
        light = await ground(page)
        await page.emulate_media(color_scheme="dark")
        dark = await ground(page)
        button = page.get_by_role("button", name="Colours")
        await button.click()
        await button.click()
        await expect(button).to_have_accessible_name(re.compile("light"))

        assert light != dark
        assert await ground(page) == light
        await page.reload()
        assert await ground(page) == light


async def test_all_is_reached_by_keyboard(page: Page) -> None:
    await page.goto("/?status=running")
    await expect(page.get_by_role("link", name="issue-44")).to_be_visible()
    reached = list[str]()
    while "issue-44" not in reached:
        await page.keyboard.press("Tab")
        reached.append(await page.evaluate("document.activeElement.innerText || document.activeElement.ariaLabel || ''"))
        assert len(reached) < 20, reached
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("heading", level=1)).to_have_text("issue-44")
    assert {"Sessions", "Agents", "System"} <= set(reached)


async def test_an_address_that_is_none_is_told(page: Page) -> None:
    await page.goto("/no/such/place")

    await page.get_by_role("link", name="All sessions", exact=True).click()
    await expect(page.get_by_role("heading", name="Sessions", exact=True)).to_be_visible()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    with serving(tmp_path_factory.mktemp("empty") / "orchestrator.db") as running:
        yield running


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/", "tac-orch import claude-code"),
        ("/agents", "tac-orch exec --agent tester"),
        ("/system", "The system has said nothing"),
    ],
)
async def test_where_there_is_nothing_yet_it_says_what_to_do(
    browser: Browser, empty: Server, complaints: Complaints, path: str, told: str
) -> None:
    async with opened(browser, empty, complaints, path, size=PHONE) as page:
        await expect(page.locator("main")).to_contain_text(told)
