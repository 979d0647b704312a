"""tac-orch demo"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from urllib.parse import quote

import click

from tac_orchestrator.cli import lookup
from tac_orchestrator.cli.browser import show_in_browser
from tac_orchestrator.cli.cost import cost
from tac_orchestrator.cli.harmless import visible
from tac_orchestrator.cli.interrupts import run
from tac_orchestrator.cli.options import command
from tac_orchestrator.cli.output import Screen, print_json
from tac_orchestrator.cli.sessions import sessions
from tac_orchestrator.cli.show import show
from tac_orchestrator.database import Database
from tac_orchestrator.demo import showcase
from tac_orchestrator.errors import DatabaseUnavailable, NotFound
from tac_orchestrator.models import Change
from tac_orchestrator.settings import DEFAULT_DATABASE, Settings

_OPENING = """A workflow of processes builds a small shop in {folder}, and records itself.
No model is called: the answers are scripted, their tokens are counted as one for four
characters, and priced as those of claude-sonnet-4-5. The tests that fail are real.
"""

_NEXT = """
What to try next, in {folder}{elsewhere}:
  tac-orch status                    where the store is, and what it holds
  tac-orch show {session}               the workflow again; `show ID` for one agent, prompt or log
  tac-orch logs --level ERROR        what went wrong
  tac-orch search discount           find words in prompts, answers and logs
  tac-orch import claude-code        your own sessions of Claude Code
  tac-orch exec --agent tester -- pytest -q
"""

_HOW_TO_SEE = """The page: http://127.0.0.1:7717{place}
  (cd {folder} && tac-orch serve --open)   serves it and opens it; `tac-orch demo --open` shows the workflow while it runs"""

_SHOWN = """The page: {address}
It is there until Ctrl-C. In another browser, the link of `tac-orch serve --link --port {port}` opens it."""


@command("demo", examples=["tac-orch demo", "tac-orch demo --open", "tac-orch demo my-shop"])
@click.argument("folder", default="tac-demo", type=click.Path(file_okay=False, path_type=Path))
@click.option("--open", "is_opened", is_flag=True, help="Show it in a browser while it runs, until Ctrl-C.")
def demo(target: str | None, as_json: bool, folder: Path, is_opened: bool) -> None:
    """Run a workflow of real processes, import sample runs, and show them.

    FOLDER becomes a small project with a store of its own, tac-demo if none is named. No model and no network is needed.
    """
    own = showcase.prepare_folder(folder)
    store = target or str(own)
    screen = None if as_json else Screen()
    if screen is not None:
        screen.line(_OPENING.format(folder=visible(str(folder))))
    session = run(_next_session(store))
    with _served(store, session) if is_opened else nullcontext() as page:
        imported = run(_play(store, folder, session, screen, page))
        if screen is not None:
            _tell(screen, store, folder, session, page)
        else:
            told = {"folder": str(folder), "store": _shown(store), "session_id": session, "sessions_imported": imported}
            print_json(told | ({"link": page.link} if page is not None else {}))
        if page is not None:
            page.wait()


class _Page:
    """The page of this store, in a process of its own. `link` leads to the session, once."""

    def __init__(self, process: subprocess.Popen[str], link: str, session: str) -> None:
        self._process = process
        self._start, _, code = link.partition("/#")
        self.address = f"{self._start}{_place(session)}"
        self.port = self._start.rpartition(":")[2]
        self.link = f"{self.address}#{code}"

    def show(self, screen: Screen | None) -> None:
        if not show_in_browser(self.link) and screen is not None:
            screen.line(f"No browser could be opened. Open this link, which is good once, within ten minutes:\n  {self.link}\n")
            sys.stdout.flush()

    def wait(self) -> None:
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            self._process.wait()


def _shown(store: str) -> str:
    """Without its password."""
    return Database.open(store).target


def _place(session: str) -> str:
    return f"/sessions/{quote(session, safe='')}"


@contextmanager
def _served(store: str, session: str) -> Generator[_Page]:
    """It takes nothing in: what this machine's programs send is not for a demonstration."""
    command = [sys.executable, "-m", "tac_orchestrator", "serve", "--port", "0", "--read-only", "--json"]
    environment = {**os.environ, **Settings.from_environment().at(store).variables}  # everybody can read arguments
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise DatabaseUnavailable(
                    _shown(store), "the page could not be served", hint="See above; without --open it is not needed."
                )
            yield _Page(process, json.loads(line)["link"], session)
        finally:
            process.terminate()  # by Ctrl-C it ends itself, which this does not disturb


async def _next_session(store: str) -> str:
    async with Database.open(store) as db:
        return await showcase.next_session(db)


async def _play(store: str, folder: Path, session: str, screen: Screen | None, page: _Page | None) -> int:
    """Returns how many sessions were imported. The page is shown once there is something on it."""
    async with Database.open(store) as db:
        names, is_shown = lookup.Names(db), page is None
        async for change in showcase.perform(db, folder, session):
            if page is not None and not is_shown:
                await asyncio.to_thread(page.show, screen)
                is_shown = True
            if screen is not None and change.entity == "agent_log":
                await _tell_log(db, names, screen, change)
        return (await showcase.import_runs(db)).sessions


async def _tell_log(db: Database, names: lookup.Names, screen: Screen, change: Change) -> None:
    with suppress(NotFound):
        log = await db.agent_logs.get(change.row_id)
        if log.log_type != "state_change":  # the tree shows how each ended
            name, _ = await names.of(log.agent_id)
            screen.line(f"  {name:18}{visible(log.message)}")
            sys.stdout.flush()


def _tell(screen: Screen, store: str, folder: Path, session: str, page: _Page | None) -> None:
    """What the commands say that are made for it."""
    context = click.get_current_context()
    screen.heading("The workflow: tac-orch show " + session)
    context.invoke(show, target=store, as_json=False, id=session, limit=20)
    screen.heading("All sessions, with two of Claude Code that were imported: tac-orch sessions")
    context.invoke(sessions, target=store, as_json=False, status=None, since=None, until=None, limit=50, before=None)
    screen.heading("What they cost: tac-orch cost --by model")
    context.invoke(cost, target=store, as_json=False, by="model", since=None, until=None, limit=50)
    elsewhere = "" if store == str(folder / DEFAULT_DATABASE) else ", with the same --db"
    screen.line(_NEXT.format(folder=visible(str(folder)), elsewhere=elsewhere, session=session))
    if page is None:
        screen.line(_HOW_TO_SEE.format(folder=visible(shlex.quote(str(folder))), place=_place(session)))
    else:
        screen.line(_SHOWN.format(address=page.address, port=page.port))
