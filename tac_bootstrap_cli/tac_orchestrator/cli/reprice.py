"""tac-orch reprice"""

from __future__ import annotations

from datetime import datetime

import click

from tac_orchestrator.cli import lookup
from tac_orchestrator.cli.formats import counted, exact
from tac_orchestrator.cli.options import WHEN, command
from tac_orchestrator.cli.output import Column, Line, Screen, print_json
from tac_orchestrator.cli.store import ask
from tac_orchestrator.cli.times import EXPECTED
from tac_orchestrator.database import Database
from tac_orchestrator.ops import repricing
from tac_orchestrator.ops.repricing import Repricing

_COLUMNS = (Column("MODEL", least=16), Column("PROMPTS", "count"), Column("BEFORE", "money"), Column("AFTER", "money"))


@command(
    "reprice", examples=["tac-orch reprice --dry-run", "tac-orch reprice --session issue-42", "tac-orch reprice --since 30d"]
)
@click.option("--session", metavar="ID", help="Only the prompts of this session.")
@click.option("--since", type=WHEN, help=f"Only prompts from then on: {EXPECTED}. All times are UTC.")
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
def reprice(target: str | None, as_json: bool, session: str | None, since: datetime | None, dry_run: bool) -> None:
    """Price again what was priced or has no price, by the price table of today.

    For example after an update of genai-prices that knows a new model. What a source has reported stays, and so does a price
    of a model that the table no longer has. Totals change with it. Each request has the prices of its own time.
    """

    async def work(database: Database) -> Repricing:
        session_id = await lookup.session_id(database, session)
        return await repricing.reprice(database, session_id=session_id, since=since, dry_run=dry_run)

    done = ask(target, work)
    if as_json:
        print_json(_as_json(done, dry_run))
    else:
        _tell(Screen(), done, dry_run)


def _as_json(done: Repricing, dry_run: bool) -> dict[str, object]:
    models = [
        {"model": model or None, "prompts": one.prompts, "before_usd": one.before_usd, "after_usd": one.after_usd}
        for model, one in _dearest_first(done)
    ]
    counts = {name: getattr(done, name) for name in ("checked", "priced", "changed", "unknown", "gone")}
    return {"dry_run": dry_run, **counts, "before_usd": done.before_usd, "after_usd": done.after_usd, "models": models}


def _dearest_first(done: Repricing) -> list[tuple[str, repricing.Repriced]]:
    return sorted(done.by_model.items(), key=lambda item: (-abs(item[1].after_usd - item[1].before_usd), item[0]))


def _tell(screen: Screen, done: Repricing, dry_run: bool) -> None:
    models = _dearest_first(done)
    if models:
        lines = [Line((model or "(unknown)", one.prompts, one.before_usd, one.after_usd)) for model, one in models]
        total = Line(("total", done.priced + done.changed, done.before_usd, done.after_usd), strong=True)
        screen.table(_COLUMNS, [*lines, total])
        screen.line()
    screen.line(f"{counted(done.checked, 'prompt')} looked at, {_changes(done, dry_run)}.")
    if done.unknown:
        screen.line(f"{counted(done.unknown, 'prompt')} without a price: `tac-orch cost --explain SESSION` says why.")
    if done.gone:
        screen.line(f"{counted(done.gone, 'prompt')} keep a price that the table no longer has.")


def _changes(done: Repricing, dry_run: bool) -> str:
    if not done.priced + done.changed:
        return "and every price is as it was"
    difference = done.after_usd - done.before_usd
    would = "would " if dry_run else ""
    sign = "+" if difference >= 0 else ""
    return f"{done.priced} {would}get a price, {done.changed} {would}get another one: {sign}{exact(difference)} dollars"
