"""Takes pictures of the page as it shows the demonstration, light and dark. See scripts/pictures."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from playwright.async_api import Browser, Page, async_playwright, expect

from tac_orchestrator import Database
from tac_orchestrator.server.access import Access

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tac_bootstrap_cli" / "tests" / "browser"))

import chromium  # noqa: E402

PROGRAM = [sys.executable, "-m", "tac_orchestrator"]
TOKEN = "the-token-of-the-pictures"  # noqa: S105
WIDTH = 1200
LARGEST = 300_000


@contextmanager
def serving(store: str) -> Generator[int]:
    """The port."""
    command = [*PROGRAM, "serve", "--db", store, "--port", "0", "--read-only", "--json"]
    values = {**os.environ, "TAC_ORCHESTRATOR_TOKEN": TOKEN}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=values) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            yield json.loads(process.stdout.readline())["ports"][0]
        finally:
            process.terminate()


async def first_prompt(store: str, session_id: str) -> str:
    """The planner's, whose answer is Markdown."""
    async with Database.open(store, create=False) as db:
        return (await db.prompts.list(session_id=session_id))[-1].id


async def take_all(store: str, session_id: str, port: int) -> None:
    prompt = await first_prompt(store, session_id)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium.program(), env=dict(chromium.environment()), args=["--no-sandbox"]
        )
        themes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
        for theme in themes:
            page = await let_in(browser, port, theme)
            await page.goto("/")
            await expect(page.get_by_role("img", name=re.compile("^Cost by day"))).to_be_visible()
            await take(page, f"sessions-{theme}", 550)
            await page.goto(f"/sessions/{session_id}")
            await expect(page.get_by_text("reviewer")).to_be_visible()
            await take(page, f"session-{theme}", 720)
            await page.goto(f"/prompts/{prompt}")
            await expect(page.get_by_role("heading", name="Answer")).to_be_visible()
            await take(page, f"prompt-{theme}", 620)
        await browser.close()


async def let_in(browser: Browser, port: int, theme: Literal["light", "dark"]) -> Page:
    address = f"http://127.0.0.1:{port}"
    context = await browser.new_context(
        base_url=address, color_scheme=theme, locale="en-GB", timezone_id="UTC", reduced_motion="reduce"
    )
    await context.add_cookies([{"name": f"tac_orchestrator_{port}", "value": Access(TOKEN).cookie, "url": address}])
    return await context.new_page()


async def take(page: Page, name: str, height: int) -> None:
    """Once nothing is loaded any more, and what was is drawn."""
    await page.set_viewport_size({"width": WIDTH, "height": height})
    await page.wait_for_load_state("networkidle")
    await page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    picture = await page.screenshot(path=HERE / f"{name}.png")
    if len(picture) > LARGEST:
        sys.exit(f"Error: {name}.png has {len(picture):,} bytes; it may have {LARGEST:,}.")
    sys.stderr.write(f"{name}.png: {len(picture):,} bytes\n")


def main() -> None:
    with TemporaryDirectory(prefix="tac-orchestrator-pictures-") as folder:
        command = [*PROGRAM, "demo", str(Path(folder) / "shop"), "--json"]
        told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)  # noqa: S603
        with serving(told["store"]) as port:
            asyncio.run(take_all(told["store"], told["session_id"], port))


if __name__ == "__main__":
    main()
