"""Pages of the browser, what it complains of, and servers that come and go."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from playwright.async_api import Browser, BrowserContext, Locator, Page

from tac_orchestrator.server.access import Access

from ..server.support import PROGRAM, TOKEN, Server
from ..store.support import start_python

WIDE = (1280, 900)
PHONE = (390, 844)


class Complaints(list[str]):
    """Errors and warnings of the console, errors that no script caught, and requests that went elsewhere."""

    def of(self, page: Page, address: str) -> None:
        page.on("console", lambda message: message.type in ("error", "warning") and self.append(message.text))
        page.on("pageerror", lambda error: self.append(f"not caught: {error}"))
        page.on("request", lambda request: request.url.startswith(address) or self.append(f"asks {request.url}"))

    def taken(self) -> list[str]:
        """They are as they should be: a test says how."""
        found = list(self)
        self.clear()
        return found


async def let_in(context: BrowserContext, server: Server) -> None:
    name = f"tac_orchestrator_{server.port}"
    cookie = {"name": name, "value": Access(TOKEN).cookie, "url": server.address, "httpOnly": True, "sameSite": "Strict"}
    await context.add_cookies([cookie])  # pyright: ignore[reportArgumentType]


@asynccontextmanager
async def opened(
    browser: Browser,
    server: Server,
    complaints: Complaints,
    path: str | None = "/",
    *,
    size: tuple[int, int] = WIDE,
    theme: Literal["light", "dark"] = "light",
    is_let_in: bool = True,
    **options: Any,
) -> AsyncGenerator[Page]:
    """None opens nothing yet."""
    async with await browser.new_context(
        base_url=server.address,
        viewport={"width": size[0], "height": size[1]},
        color_scheme=theme,
        locale="en-GB",
        reduced_motion="reduce",
        **{"timezone_id": "UTC", **options},
    ) as context:
        context.set_default_timeout(15_000)
        if is_let_in:
            await let_in(context, server)
        page = await context.new_page()
        complaints.of(page, server.address)
        if path is not None:
            await page.goto(path)
        yield page


def session_path(session_id: str, query: str = "") -> str:
    return f"/sessions/{quote(session_id, safe='')}{query}"


def prompt_id(server: Server, session_id: str, text: str) -> str:
    rows = server.get("/api/prompts", params={"session_id": session_id}).json()["items"]
    return next(row["id"] for row in rows if row["prompt_text"].startswith(text))


def agent_row(page: Page, name: str) -> Locator:
    return page.get_by_role("treegrid").get_by_role("row").filter(has=page.get_by_text(name, exact=True))


def session_row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


@contextmanager
def recorder(store: Path, program: str) -> Generator[subprocess.Popen[str]]:
    """A process of its own that records: `program` is the body of a coroutine that has `db`, and goes on at each line that it
    reads with `await told()`."""
    body = "\n".join(f"        {line}" for line in program.strip().splitlines())
    with start_python(_RECORDER.format(body=body), store) as process:
        yield process
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


_RECORDER = """
import asyncio, sys
from tac_orchestrator import Database

async def told():
    await asyncio.to_thread(sys.stdin.readline)

async def main():
    async with Database.open(sys.argv[1]) as db:
        for name in ("planner", "builder", "tester"):
            await db.orchestrator_agents.register(name, agent_type=name)
{body}

asyncio.run(main())
"""


class Mortal:
    """A server that is killed, and started again where it was."""

    def __init__(self, store: Path, port: int) -> None:
        self._store, self._port = store, port
        self._process: subprocess.Popen[str] | None = None

    def start(self, token: str = TOKEN) -> None:
        """Returns when it answers."""
        command = [PROGRAM, "serve", "--db", str(self._store), "--port", str(self._port), "--json"]
        values = {**os.environ, "TAC_ORCHESTRATOR_TOKEN": token}
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=values)
        assert self._process.stdout is not None
        assert self._process.stdout.readline()

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.communicate(timeout=20)
            self._process = None
