"""tac-orch export"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO, get_args

import click

from tac_orchestrator.cli import lookup
from tac_orchestrator.cli.formats import counted, size
from tac_orchestrator.cli.harmless import harmless_json, visible, visible_lines
from tac_orchestrator.cli.options import between, command
from tac_orchestrator.cli.output import Screen, print_json
from tac_orchestrator.cli.store import ask
from tac_orchestrator.cli.upkeep import bar
from tac_orchestrator.database import Database
from tac_orchestrator.engines.new_files import new_file
from tac_orchestrator.ops import export as ops
from tac_orchestrator.ops.export import Exportable
from tac_orchestrator.ops.formats import Format, Sink


@command(
    "export",
    examples=[
        "tac-orch export -o all.jsonl",
        "tac-orch export --format csv --table prompts --since 7d -o prompts.csv",
        "tac-orch export --session issue-42 | jq .message",
    ],
)
@click.option("--format", type=click.Choice(get_args(Format)), default="jsonl", show_default=True, help="How rows are written.")
@click.option(
    "--table", type=click.Choice(get_args(Exportable)), metavar="TABLE", help=f"One of {', '.join(get_args(Exportable))}."
)
@click.option("--session", metavar="ID", help="Only what belongs to this session.")
@between
@click.option("--spreadsheet", is_flag=True, help="CSV in which a spreadsheet program finds no formulas.")
@click.option("-o", "--output", default="-", metavar="FILE", help="A new file, that only you can read; - is standard output.")
def export(
    target: str | None,
    as_json: bool,
    format: Format,
    table: Exportable | None,
    session: str | None,
    output: str,
    **more: Any,
) -> None:
    """Write what the store holds, for other programs.

    All rows are of one moment, whoever writes meanwhile. JSON lines name their table first, and CSV takes one table. SQL is for
    a new store: `tac-orch db migrate --db new.db`, then `sqlite3 new.db < all.sql`; it takes whole sessions. With --json,
    standard output gets an array of the rows, and with -o an object says what was written.
    """
    _refuse(format, table, as_json and output == "-")

    async def work(database: Database) -> int:
        chosen = await lookup.session_id(database, session)
        with bar("Exporting") if output != "-" else nullcontext() as show, _opened(output, as_json, format) as stream:
            return await ops.export(database, stream, format, table=table, session_id=chosen, progress=show, **more)

    rows = ask(target, work)
    if output != "-":
        _tell(Path(output).absolute(), format, rows, as_json)


def _refuse(format: Format, table: Exportable | None, as_json: bool) -> None:
    context = click.get_current_context()
    if format == "csv" and table is None:
        raise click.UsageError(f"CSV has the columns of one table: --table {', '.join(get_args(Exportable))}", context)
    if format != "jsonl" and as_json:
        raise click.UsageError(f"--json says what was written to a file, or gives JSON: name a file for {format}.", context)


@contextmanager
def _opened(output: str, as_json: bool, format: Format) -> Generator[Sink]:
    if output != "-":
        with _new_text_file(Path(output).absolute()) as stream:
            yield stream
    elif as_json:
        array = _Array()
        yield array
        array.end()
    else:
        stdout: TextIO = sys.stdout
        if isinstance(stdout, TextIOWrapper):  # whatever this user's terminal speaks, and with line ends as they are
            stdout.reconfigure(encoding="utf-8", newline="")
        yield _Changed(harmless_json if format == "jsonl" else _visible) if stdout.isatty() else stdout


@contextmanager
def _new_text_file(path: Path) -> Generator[Sink]:
    """It has its name only once all is in it."""
    try:
        with new_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as stream:
            yield stream
            stream.flush()
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror or error}") from error


class _Changed:
    """Standard output, for eyes."""

    def __init__(self, change: Callable[[str], str]) -> None:
        self._change = change

    def write(self, text: str, /) -> int:
        return sys.stdout.write(self._change(text))


class _Array:
    """Lines of JSON as one array."""

    def __init__(self) -> None:
        self._is_empty = True

    def write(self, text: str, /) -> int:
        if not text:
            return 0
        before = "[\n" if self._is_empty else ",\n"
        self._is_empty = False
        return sys.stdout.write(before + harmless_json(text.rstrip("\n")))

    def end(self) -> None:
        sys.stdout.write("[]\n" if self._is_empty else "\n]\n")


def _visible(text: str) -> str:
    return "\n".join(visible_lines(text))


def _tell(path: Path, format: Format, rows: int, as_json: bool) -> None:
    length = path.stat().st_size
    if as_json:
        print_json({"path": str(path), "format": format, "rows": rows, "size_bytes": length})
    else:
        Screen().line(f"{visible(str(path))} ({size(length)}, {counted(rows, 'row')})")
