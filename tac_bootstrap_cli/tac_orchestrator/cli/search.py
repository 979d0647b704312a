"""tac-orch search"""

from __future__ import annotations

from collections.abc import Sequence

import click

from tac_orchestrator.cli.options import MAX_LIMIT, command, limit_option
from tac_orchestrator.cli.output import Column, Line, Screen, print_json_rows, short_ids
from tac_orchestrator.cli.progress import progress
from tac_orchestrator.cli.store import ask
from tac_orchestrator.database import Database
from tac_orchestrator.errors import InvalidRecord
from tac_orchestrator.models import SearchHit

_HINT = "`tac-orch search timeout pars*` finds what has the one word and another that begins so."

_MARKS = str.maketrans("", "", "⟦⟧")

_COLUMNS = (
    Column("FOUND", spare=2),
    Column("ID", "id"),
    Column("WHEN", "ago"),
    Column("SESSION", least=10, spare=1),
    Column("EXCERPT", "excerpt", least=30),
)


@command(
    "search",
    examples=[
        "tac-orch search timeout parser",
        "tac-orch search '\"exit code\"' time*",
        "tac-orch search --json -- parser -draft",
    ],
)
@click.argument("words", nargs=-1, required=True)
@limit_option(50)
def search(target: str | None, as_json: bool, words: tuple[str, ...], limit: int) -> None:
    """Find words in prompts, answers and logs.

    The newest rows that have all of the words come first. '"a phrase"', begin*, -without and OR mean what they mean elsewhere;
    put -- before words that begin with a dash.
    """

    async def question(database: Database) -> list[SearchHit]:
        with progress("Rows to index") as show:
            async for step in database.search.catch_up():
                show(step.done, step.total)
        return await database.search.find(" ".join(words), limit=limit)

    try:
        found = ask(target, question)
    except InvalidRecord as error:
        error.hint = _HINT
        raise
    if as_json:
        print_json_rows(found)
    elif found:
        _show(Screen(), found, limit)
    else:
        click.echo("Nothing found.", err=True)


def _show(screen: Screen, found: Sequence[SearchHit], limit: int) -> None:
    """What was found is marked for people; between words that somebody else searches for, the marks would be in the way."""
    shorts = short_ids([hit.id for hit in found])
    lines = list[Line]()
    for hit, short in zip(found, shorts, strict=True):
        excerpt = hit.excerpt if screen.is_terminal else hit.excerpt.translate(_MARKS)
        lines.append(Line((hit.entity, short if screen.is_terminal else hit.id, hit.created_at, hit.session_id, excerpt)))
    screen.table(_COLUMNS, lines)
    if len(found) == limit < MAX_LIMIT:
        screen.hint(f"There may be more: --limit {min(2 * limit, MAX_LIMIT)}")
