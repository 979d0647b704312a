"""Every view can be used by everybody, in the light and in the dark, and on a phone."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Page, expect

from ..server.support import Server
from . import chromium
from .conftest import Opened
from .support import PHONE, agent_row, session_path
from .views import VIEWS, View
from .workflows import GOOD

_FIND = """async (options) => {
  const told = await axe.run(document, { resultTypes: ['violations'], ...options })
  return told.violations
    .filter((one) => ['serious', 'critical'].includes(one.impact))
    .map((one) => `${one.id}: ${one.nodes.map((node) => node.html).join(' | ').slice(0, 600)}`)
}"""
_COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}


async def faults(page: Page) -> list[str]:
    """The serious and critical ones that axe finds in the light; and in the dark, where only the colours differ."""
    light = await page.evaluate(_FIND, {})
    await page.emulate_media(color_scheme="dark")
    return light + await page.evaluate(_FIND, _COLOURS)


@pytest.fixture
def open_examined(open_page: Opened) -> Opened:
    @asynccontextmanager
    async def opening(path: str, **options: Any) -> AsyncGenerator[Page]:
        async with open_page(None, **options) as page:
            await page.add_init_script(path=chromium.AXE)
            await page.goto(path)
            yield page

    return opening


@pytest.mark.parametrize("view", VIEWS, ids=str)
async def test_a_view_has_no_serious_fault_and_fits_a_phone(open_examined: Opened, seen: Server, view: View) -> None:
    async with open_examined(view.path(seen)) as page:
        await view.shown(page)
        assert await faults(page) == []

        await page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
        await page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")


async def test_what_opens_has_none(open_examined: Opened) -> None:
    async with open_examined(session_path(GOOD)) as page:
        await agent_row(page, "sdlc_planner").get_by_text("sdlc_planner").click()
        await expect(page.get_by_role("complementary")).to_contain_text("Check it.")
        await page.keyboard.press("Control+k")
        await page.keyboard.type("plan")
        await expect(page.get_by_role("option").first).to_be_visible()

        assert await faults(page) == []


async def test_the_way_in_has_none(open_examined: Opened, complaints: list[str]) -> None:
    async with open_examined("/", is_let_in=False) as page:
        await expect(page.get_by_role("button", name="Let me in")).to_be_visible()

        assert await faults(page) == []
    complaints.clear()
