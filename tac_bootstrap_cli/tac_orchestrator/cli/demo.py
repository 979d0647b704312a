"""tac-orch demo"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

import click

from tac_orchestrator.cli import lookup
from tac_orchestrator.cli.cost import cost
from tac_orchestrator.cli.harmless import visible
from tac_orchestrator.cli.options import command
from tac_orchestrator.cli.output import Screen, print_json
from tac_orchestrator.cli.sessions import sessions
from tac_orchestrator.cli.show import show
from tac_orchestrator.database import Database
from tac_orchestrator.demo import showcase
from tac_orchestrator.errors import NotFound
from tac_orchestrator.models import Change

_OPENING = """A workflow of processes builds a small shop in {folder}, and records itself.
No model is called: the answers are scripted, their tokens are counted as one for four
characters, and priced as those of claude-sonnet-4-5. The tests that fail are real.
"""

_NEXT = """
What to try next, in {folder}:
  tac-orch status                    where the store is, and what it holds
  tac-orch show {session}               the workflow again; `show ID` for one agent or prompt
  tac-orch serve --open              all of it in a browser
  tac-orch logs --level ERROR        what went wrong
  tac-orch search discount           find words in prompts, answers and logs
  tac-orch import claude-code        your own sessions of Claude Code
  tac-orch exec --agent tester -- pytest -q"""


@command("demo", examples=["tac-orch demo", "tac-orch demo /tmp/shop"])
@click.argument("folder", default="tac-demo", type=click.Path(file_okay=False, path_type=Path))
def demo(target: str | None, as_json: bool, folder: Path) -> None:
    """Run a workflow of real processes, import sample runs, and show them.

    FOLDER becomes a small project with a store of its own, tac-demo if none is named. No model and no network is needed.
    """
    store = target or str(showcase.prepare_folder(folder))
    screen = Screen()
    if not as_json:
        screen.line(_OPENING.format(folder=visible(str(folder))))
    session, imported = asyncio.run(_play(store, folder, None if as_json else screen))
    if as_json:
        print_json({"folder": str(folder), "store": store, "session_id": session, "sessions_imported": imported})
    else:
        _tell(screen, store, folder, session)


async def _play(store: str, folder: Path, screen: Screen | None) -> tuple[str, int]:
    async with Database.open(store) as db:
        session = await showcase.next_session(db)
        names = lookup.Names(db)
        async for change in showcase.perform(db, folder, session):
            if screen is not None and change.entity == "agent_log":
                await _tell_log(db, names, screen, change)
        return session, (await showcase.import_runs(db)).sessions


async def _tell_log(db: Database, names: lookup.Names, screen: Screen, change: Change) -> None:
    with suppress(NotFound):
        log = await db.agent_logs.get(change.row_id)
        if log.log_type != "state_change":  # the tree shows how each ended
            name, _ = await names.of(log.agent_id)
            screen.line(f"  {name:18}{visible(log.message)}")
            sys.stdout.flush()


def _tell(screen: Screen, store: str, folder: Path, session: str) -> None:
    """What the commands say that are made for it."""
    context = click.get_current_context()
    screen.heading("The workflow: tac-orch show " + session)
    context.invoke(show, target=store, as_json=False, id=session, limit=20)
    screen.heading("All sessions, with two of Claude Code that were imported: tac-orch sessions")
    context.invoke(sessions, target=store, as_json=False, status=None, since=None, until=None, limit=50, before=None)
    screen.heading("What they cost: tac-orch cost --by model")
    context.invoke(cost, target=store, as_json=False, by="model", since=None, until=None, limit=50)
    screen.line(_NEXT.format(folder=visible(str(folder)), session=session))
