"""How the page feels in a real Chromium: how soon a view is there, how long a frame takes while one scrolls, and how soon a
commit of another process is seen.

The large store is that of the server's benchmark. In a session of its own are thousands of agents, prompts and logs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any
from uuid import UUID

from playwright.async_api import Page, async_playwright
from tac_bootstrap_cli.tests.browser import chromium
from websockets.asyncio.client import connect

from benchmarks.harness import Budget, Line, Size, settings, spread
from benchmarks.server import LISTENERS, TOKEN, Server, large_store, serving
from tac_orchestrator import Database
from tac_orchestrator.models import JsonObject
from tac_orchestrator.server.access import Access
from tac_orchestrator.tables.base import PIECE

FIRST_VIEW, OPENED, FRAME, PIXEL = Budget(1000, " ms"), Budget(1500, " ms"), Budget(50, " ms"), Budget(250, " ms")
AGENTS, PROMPTS_EACH, LOGS_EACH = 2000, 5, 50
WIDE = 20
"""So many agents are started by each that starts any."""

RUNNING = 50

SESSION = "vast"
FIRST_LOG = "the newest log"

# A frame that takes longer than 50 ms is what browsers call a long one.
_FRAMES = """
() => {
  const told = (window.frames_ms = [])
  let before = performance.now()
  const next = () => {
    const now = performance.now()
    told.push(now - before)
    before = now
    requestAnimationFrame(next)
  }
  requestAnimationFrame(next)
}
"""


def measure(size: Size, folder: Path) -> list[Line]:
    return asyncio.run(_measure(size, folder))


async def _measure(size: Size, folder: Path) -> list[Line]:
    path = await large_store(size, folder)
    count = max(int(AGENTS * size.writes), 20)
    await _make_session(path, count)
    with serving(path) as server:
        async with _page(server) as page:
            found = [await _first_view(page, size.repeats)]
            found += [await _session(page, size.repeats, count), await _logs(page, size.repeats, count)]
            found += [await _scrolling(page, view) for view in ("agents", "prompts", "logs")]
            found.append(await _commit_to_pixel(server, page, path, size.repeats))
    return found


async def _make_session(path: Path, agents: int) -> None:
    async with Database(settings(path)) as db:
        if await db.agents.list(session_id=SESSION, limit=1):
            return
        kind = await db.orchestrator_agents.register("builder", agent_type="builder")
        ids = [str(UUID(int=(7 << 76) + (2 << 62) + number)) for number in range(agents)]
        for first in range(0, agents, PIECE):
            part = range(first, min(first + PIECE, agents))
            await asyncio.gather(*(_agent(db, kind.id, ids, number) for number in part))
        prompt: JsonObject = {"prompt_type": "adw", "status": "completed", "tokens_input": 800, "tokens_output": 240}
        await db.prompts.create_many(
            {**prompt, "agent_id": id, "prompt_text": f"Do part {part}.", "response_text": "Done.", "cost_usd": 0.001}
            for id in ids
            for part in range(PROMPTS_EACH)
        )
        await db.agent_logs.create_many(
            {"agent_id": id, "log_type": "milestone", "message": f"step {step}"} for step in range(LOGS_EACH) for id in ids
        )
        await db.agent_logs.create(ids[0], "milestone", FIRST_LOG)


async def _agent(db: Database, kind_id: str, ids: list[str], number: int) -> None:
    """They begin one after the other, and one in RUNNING goes on."""
    began = datetime.now(UTC) - timedelta(hours=1) + timedelta(seconds=number)
    await db.agents.create(
        kind_id,
        SESSION,
        id=ids[number],
        parent_agent_id=ids[(number - 1) // WIDE] if number else None,
        status="completed" if number % RUNNING else "executing",
        started_at=began,
        completed_at=began + timedelta(minutes=5) if number % RUNNING else None,
    )


@asynccontextmanager
async def _page(server: Server) -> AsyncGenerator[Page]:
    address = f"http://127.0.0.1:{server.port}"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium.program(), env=dict(chromium.environment()), args=["--no-sandbox"]
        )
        async with browser, await browser.new_context(base_url=address, viewport={"width": 1280, "height": 800}) as context:
            cookie: Any = {"name": f"tac_orchestrator_{server.port}", "value": Access(TOKEN).cookie, "url": address}
            await context.add_cookies([cookie])
            yield await context.new_page()


async def _opening(page: Page, path: str, shown: str, repeats: int) -> list[float]:
    """ms from the request for the page until this is to be seen. The first fills the browser's cache."""
    spent = list[float]()
    for _ in range(repeats + 1):
        await page.goto("about:blank")
        began = perf_counter()
        await page.goto(path, wait_until="commit")
        await page.get_by_text(shown).first.wait_for()
        spent.append((perf_counter() - began) * 1000)
    return spent[1:]


async def _first_view(page: Page, repeats: int) -> Line:
    spent = await _opening(page, "/", SESSION, repeats)
    return Line("page: first view, the list of sessions, ms", spread(spent), median(spent), FIRST_VIEW)


async def _session(page: Page, repeats: int, agents: int) -> Line:
    spent = await _opening(page, f"/sessions/{SESSION}", "builder", repeats)
    what = f"page: a session of {agents} agents, {agents * PROMPTS_EACH} prompts, {agents * LOGS_EACH} logs, ms"
    return Line(what, spread(spent), median(spent), OPENED)


async def _logs(page: Page, repeats: int, agents: int) -> Line:
    spent = await _opening(page, f"/sessions/{SESSION}?view=logs", FIRST_LOG, repeats)
    return Line("page: its logs, ms", spread(spent), median(spent), OPENED)


async def _scrolling(page: Page, view: str) -> Line:
    """The longest frame of three seconds of scrolling, when all that is to be loaded has been."""
    await page.goto(f"/sessions/{SESSION}?view={view}", wait_until="networkidle")
    await page.mouse.move(640, 600)
    await page.evaluate(_FRAMES)
    for step in range(60):
        await page.mouse.wheel(0, 900 if step < 40 else -900)
        await asyncio.sleep(0.05)
    frames: list[float] = (await page.evaluate("window.frames_ms"))[1:]
    what = f"page: the longest frame while one scrolls through its {view}, ms"
    return Line(what, f"{max(frames):.0f}, median {median(frames):.0f}", max(frames), FRAME)


async def _commit_to_pixel(server: Server, page: Page, path: Path, repeats: int) -> Line:
    """From before a commit in another process than the server's until the page shows it, beside the other listeners."""
    await page.goto(f"/sessions/{SESSION}?view=logs", wait_until="networkidle")
    headers, spent = {"Authorization": f"Bearer {TOKEN}"}, list[float]()
    address = f"ws://127.0.0.1:{server.port}/api/live?session_id={SESSION}"
    async with AsyncExitStack() as stack, Database(settings(path)) as db:
        others = [await stack.enter_async_context(connect(address, additional_headers=headers)) for _ in range(LISTENERS - 1)]
        agent = (await db.agents.list(session_id=SESSION, limit=1))[0]
        for number in range(3 * repeats):
            began = perf_counter()
            await db.agent_logs.create(agent.id, "milestone", f"seen {number} of {began}")
            await page.get_by_text(f"seen {number} of {began}").wait_for()
            spent.append((perf_counter() - began) * 1000)
        assert json.loads(await others[0].recv())["type"]
    return Line(f"page: commit to pixel, with {LISTENERS} listeners, ms", spread(spent), max(spent), PIXEL)
