"""The command line: `tac-orch`.

It has to start quickly, so that this module knows of each command where it is and what it is for, and imports only the one
that is called.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import NamedTuple, NoReturn

import click

from tac_orchestrator.cli.failures import EXIT_CODES, INTERRUPTED, NEGATIVE, OK, Ended, report, report_warnings, wants_json
from tac_orchestrator.cli.options import chosen_target
from tac_orchestrator.errors import OrchestratorError
from tac_orchestrator.version import VERSION


class Place(NamedTuple):
    """Where a command is, `module:function` below `tac_orchestrator.cli`, and the first line of its help."""

    home: str
    help: str


SECTIONS: Mapping[str, Mapping[str, Place]] = {
    "Look": {
        "status": Place("status:status", "Where the store is, what it holds, and what runs now."),
        "sessions": Place("sessions:sessions", "Workflows, the newest first, with their totals."),
        "show": Place("show:show", "One session as a tree of agents, one agent, one prompt, or one log of an agent."),
        "prompts": Place("prompts:prompts", "Requests to models, the newest first."),
        "logs": Place("logs:logs", "What agents, or the system, have logged, the newest first."),
        "tail": Place("tail:tail", "The last logs, and with -f every new one of any process."),
        "cost": Place("cost:cost", "Tokens and cost by model, day, type of agent or session."),
        "search": Place("search:search", "Find words in prompts, answers and logs."),
        "query": Place("query:query", "Ask the store in SQL. It can only read."),
        "serve": Place("serve:serve", "Show the store in a browser as it changes, and take in what agents send."),
    },
    "Record": {
        "init": Place("init:init", "Prepare a project: the store, the modules for its scripts, and .gitignore."),
        "import": Place("imports:import_", "Bring in what other programs have written about their agents."),
        "ingest": Place("ingest:ingest", "Take in what other programs send, as it comes or as it was captured."),
        "exec": Place("exec:execute", "Run any command as a recorded agent."),
        "demo": Place("demo:demo", "Run a workflow of real processes, import sample runs, and show them."),
    },
    "Keep": {
        "backup": Place("backup:backup", "Copy the store while it is in use, and check the copy."),
        "restore": Place("restore:restore", "Put a backup in the place of the store."),
        "transfer": Place("transfer:transfer", "Move the store to PostgreSQL, or from there to a file, and prove it."),
        "export": Place("export:export", "Write what the store holds, for other programs."),
        "prune": Place("prune:prune", "Delete what is older than it has to be."),
        "reprice": Place("reprice:reprice", "Price again what was priced or has no price, by the price table of today."),
        "db": Place("db:db", "The store's file: where it is, its schema, its health and its size."),
        "doctor": Place("doctor:doctor", "Look for everything that may be wrong, and say what to do about it."),
    },
}

COMMANDS: Mapping[str, Place] = {name: place for section in SECTIONS.values() for name, place in section.items()}


class _Commands(click.Group):
    """Imports a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        place = COMMANDS.get(cmd_name)
        if place is None:
            return None
        module, _, function = place.home.partition(":")
        found = getattr(import_module(f"tac_orchestrator.cli.{module}"), function)
        _collect_from_now_on()
        return found

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.exceptions.NoSuchCommand as error:
            raise click.exceptions.NoSuchCommand(error.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader has seen enough
            _give_up_output()
            return OK

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        longest = max(map(len, COMMANDS))
        for title, places in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(longest), place.help) for name, place in places.items()])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in EXIT_CODES.items()])


@click.group(cls=_Commands, no_args_is_help=False, invoke_without_command=True, context_settings={"max_content_width": 100})
@click.version_option(VERSION, prog_name="tac-orch")
@click.option("--db", metavar="PATH", expose_value=False, callback=chosen_target, help="The store, if not the project's own.")
@click.pass_context
def tac_orch(context: click.Context) -> None:
    """The store of what agents did: what happened, what it cost, and why it stopped.

    It is the file that --db names, or TAC_ORCHESTRATOR_DB, or adws/schema/orchestrator.db in the project that the current
    folder belongs to.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """What the shell calls. Ends the process."""
    gc.disable()  # what is loaded now stays: to look through it again and again takes a tenth of the start
    _prepare_streams()
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code = _run(given)
        sys.stdout.flush()
    except OSError as error:
        code = OK if isinstance(error, BrokenPipeError) else NEGATIVE
        _give_up_output()
        if code != OK:
            click.echo(f"Error: the output could not be written: {error.strerror or error}", err=True)
    except Ended as end:
        with suppress(OSError):
            sys.stdout.flush()
        end.by_its_signal()
        raise
    sys.exit(code)


def _collect_from_now_on() -> None:
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _run(arguments: list[str]) -> int:
    as_json = wants_json(arguments)
    report_warnings(as_json=as_json)
    try:
        code = tac_orch.main(arguments, prog_name="tac-orch", standalone_mode=False)
    except (OrchestratorError, click.ClickException) as error:
        sys.stdout.flush()
        return report(error, as_json=as_json)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    return code if isinstance(code, int) else OK


def _prepare_streams() -> None:
    """No file that is opened later takes the place of a closed stream, and no sign stops a terminal that does not know it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        setattr(sys, name, stream)


def _give_up_output() -> None:
    """What is left in the buffer must not be tried again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
