"""Who is let in: a browser by a link that is good once, or by the token; and it stays so until the token changes."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from playwright.async_api import Browser, expect

from ..server.support import PROGRAM, TOKEN, Server
from .conftest import Opened
from .support import Complaints, Mortal, opened

GREETING = "This browser is not let in yet"


def new_link(server: Server) -> str:
    command = [PROGRAM, "serve", "--link", "--json", "--port", str(server.port)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"TAC_ORCHESTRATOR_TOKEN": TOKEN})
    return json.loads(done.stdout)["link"]


def were_refused(complaints: Complaints) -> bool:
    return all("401" in one or "WebSocket" in one for one in complaints.taken())


async def test_a_link_lets_a_browser_in_and_leaves_no_trace(open_page: Opened, seen: Server) -> None:
    async with open_page(new_link(seen), is_let_in=False) as page:
        await expect(page.get_by_role("heading", name="Sessions", exact=True)).to_be_visible()

        assert page.url == f"{seen.address}/"
        assert await page.evaluate("document.cookie") == ""
        (cookie,) = await page.context.cookies()
        assert (cookie.get("httpOnly"), cookie.get("sameSite")) == (True, "Strict")
        await page.reload()
        await expect(page.get_by_role("heading", name="Sessions", exact=True)).to_be_visible()


async def test_a_link_is_good_once(open_page: Opened, seen: Server, complaints: Complaints) -> None:
    link = new_link(seen)
    async with open_page(link, is_let_in=False) as page:
        await expect(page.get_by_role("heading", name="Sessions", exact=True)).to_be_visible()
    async with open_page(link, is_let_in=False) as page:
        await expect(page.get_by_role("heading", name=GREETING)).to_be_visible()
        await expect(page.get_by_role("alert")).to_contain_text("neither the server's token nor a link that is still good")

        assert page.url == f"{seen.address}/"
    assert were_refused(complaints)


async def test_a_browser_that_is_not_let_in_sees_nothing_and_is_told_how(open_page: Opened, complaints: Complaints) -> None:
    async with open_page("/sessions/issue-42", is_let_in=False) as page:
        await expect(page.get_by_role("heading", name=GREETING)).to_be_visible()
        await expect(page.locator("body")).not_to_contain_text("issue-42")
        await page.keyboard.press("Control+k")
        await expect(page.get_by_role("dialog")).to_have_count(0)
        await page.get_by_label("Or paste a link").fill("nonsense")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("tac-orch serve --link prints a new one.")
        await expect(page.get_by_role("alert").locator("code")).to_have_text("tac-orch serve --link")
        await page.get_by_label("Or paste a link").fill(TOKEN)
        await page.get_by_role("button", name="Let me in").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("issue-42")
    assert were_refused(complaints)


async def test_a_new_token_shuts_out_who_was_let_in(
    browser: Browser, complaints: Complaints, path: Path, unused_tcp_port: int
) -> None:
    server = Mortal(path, unused_tcp_port)
    server.start()
    try:
        async with opened(browser, Server(unused_tcp_port, [], "", 0), complaints) as page:
            await expect(page.get_by_role("heading", name="Nothing is recorded yet")).to_be_visible()
            server.kill()
            server.start(token="another-token-of-32-characters")
            await expect(page.get_by_role("heading", name=GREETING)).to_be_visible()
    finally:
        server.kill()
    complaints.clear()


async def test_a_link_that_was_cut_off_is_no_empty_page(open_page: Opened, complaints: Complaints) -> None:
    async with open_page("/#login=%E0%A", is_let_in=False) as page:
        await expect(page.get_by_role("heading", name=GREETING)).to_be_visible()
    assert were_refused(complaints)
