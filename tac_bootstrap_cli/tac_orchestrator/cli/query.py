"""tac-orch query"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

import click

from tac_orchestrator.cli.harmless import visible
from tac_orchestrator.cli.options import command
from tac_orchestrator.cli.output import Column, Line, Screen, print_json_rows
from tac_orchestrator.cli.store import ask
from tac_orchestrator.database import Database
from tac_orchestrator.errors import InvalidRecord

_INTEGER = re.compile(r"-?(0|[1-9]\d{0,17})")
_DECIMAL = re.compile(r"-?(0|[1-9]\d*)\.\d+")
_HINT = '`tac-orch query "{catalog}"` shows the tables; `-p NAME=VALUE` gives :NAME a value.'


@command(
    "query",
    examples=[
        "tac-orch query 'SELECT name, agent_type FROM orchestrator_agents'",
        "tac-orch query 'SELECT message FROM agent_logs WHERE log_level = :level' -p level=ERROR --json",
        "tac-orch query - < report.sql",
    ],
)
@click.argument("sql")
@click.option("-p", "--parameter", "parameters", multiple=True, metavar="NAME=VALUE", help="A value for :NAME in the SQL.")
def query(target: str | None, as_json: bool, sql: str, parameters: tuple[str, ...]) -> None:
    """Ask the store in SQL. It can only read.

    `-` reads the SQL from standard input. A value that reads as a number is one. The database itself refuses to write.
    """
    values = dict(map(_parameter, parameters))
    text = _standard_input() if sql == "-" else sql
    try:
        rows = ask(target, lambda database: database.query(text, **values))
    except InvalidRecord as error:
        error.hint = _HINT.format(catalog=Database.open(target).engine.catalog)
        raise
    if as_json:
        print_json_rows(rows)
    else:
        _show(Screen(), rows)


def _show(screen: Screen, rows: Sequence[dict[str, Any]]) -> None:
    lines = [Line(list(row.values())) for row in rows]
    if not lines:
        click.echo("No rows.", err=True)
        return
    names = list(rows[0])
    screen.table([Column(visible(name), least=8, spare=place) for place, name in enumerate(names)], lines)


def _parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not (equals and name.isidentifier()):
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", click.get_current_context(), param_hint="-p")
    if _INTEGER.fullmatch(value):
        return name, int(value)
    return name, float(value) if _DECIMAL.fullmatch(value) else value


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        raise click.BadParameter(f"it is not UTF-8: {error}", click.get_current_context(), param_hint="SQL") from None
