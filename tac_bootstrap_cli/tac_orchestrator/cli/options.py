"""What the commands have in common: their options, and examples at the end of their help."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import wraps
from typing import Any, TypeVar

import click

from tac_orchestrator.cli.times import EXPECTED, moment

F = TypeVar("F", bound=Callable[..., Any])

MAX_LIMIT = 100_000
_TARGET = "tac_orchestrator.target"


class Command(click.Command):
    """A command with examples."""

    def __init__(self, *arguments: Any, examples: Sequence[str], **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_examples(formatter, self.examples)


class Group(click.Group):
    """Commands that belong together. Its examples are theirs."""

    @property
    def examples(self) -> list[str]:
        return [command.examples[0] for command in self.commands.values() if isinstance(command, Command)]

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        _write_examples(formatter, self.examples)


def _write_examples(formatter: click.HelpFormatter, examples: Sequence[str]) -> None:
    with formatter.section("Examples"):
        formatter.write("".join(f"  {example}\n" for example in examples))


class _Moment(click.ParamType[datetime]):
    name = "when"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            return moment(value, datetime.now(UTC))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Age(_Moment):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        found = super().convert(value, param, ctx)
        if found > datetime.now(UTC):
            self.fail(f"{value!r} lies in the future", param, ctx)
        return found


WHEN = _Moment()
AGE = _Age()


def command(name: str, *, examples: Sequence[str], **more: Any) -> Callable[[Callable[..., Any]], Command]:
    """Makes a command. Its function gets `target`, the store that --db names, and `as_json`.

    The first line of its docstring is also what `tac-orch --help` says about it, see `main.COMMANDS`.
    """

    def decorate(function: Callable[..., Any]) -> Command:
        shared = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")(_target_option(function))
        return click.command(name, cls=Command, examples=examples, **more)(shared)

    return decorate


def group(name: str, **more: Any) -> Callable[[Callable[[], None]], Group]:
    """Makes a group, to which commands are added. Alone, it prints its help; --db may also stand before its command."""

    def decorate(function: Callable[[], None]) -> Group:
        @wraps(function)
        def help_alone() -> None:
            context = click.get_current_context()
            if context.invoked_subcommand is None:
                click.echo(context.get_help())

        shared = _target_option(help_alone, expose_value=False)
        return click.group(name, cls=Group, invoke_without_command=True, **more)(shared)

    return decorate


def _target_option(function: F, *, expose_value: bool = True) -> F:
    help = "The store, if not the project's own."
    return click.option("--db", "target", metavar="PATH", callback=chosen_target, expose_value=expose_value, help=help)(
        function
    )


def chosen_target(context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """--db may stand before or after the name of the command; the one behind it counts."""
    if value is not None:
        if not value:
            raise click.BadParameter("a path is needed")
        context.meta[_TARGET] = value
    return context.meta.get(_TARGET)


def limit_option(default: int, *names: str) -> Callable[[F], F]:
    return click.option(
        *names,
        "--limit",
        type=click.IntRange(1, MAX_LIMIT),
        default=default,
        show_default=True,
        help="At most so many.",
    )


def paged(kind: click.ParamType[Any] = click.STRING) -> Callable[[F], F]:
    """--limit and --before, an id of this kind."""
    before = click.option("--before", type=kind, metavar="ID", help="Those older than this one: the next page.")
    return lambda function: limit_option(50)(before(function))


def between(function: F) -> F:
    """--since and --until."""
    since = click.option("--since", type=WHEN, help=f"From then on: {EXPECTED}. All times are UTC.")
    until = click.option("--until", type=WHEN, help="Before then.")
    return since(until(function))
