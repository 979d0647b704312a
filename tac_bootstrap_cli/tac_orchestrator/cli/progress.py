"""How far long work is, on standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager

import click

Show = Callable[[int, int], None]
"""Told how much is done, of how much."""


@contextmanager
def progress(what: str, *, worth: int = 5000) -> Generator[Show]:
    """A block of work, which says how far it is. Work on fewer things than `worth` is over before anybody wonders."""
    update: Callable[[int], None] | None = None
    with ExitStack() as stack:

        def show(done: int, total: int) -> None:
            nonlocal update
            if update is None and total >= worth:
                update = _begin(stack, what, total)
            if update is not None:
                update(done)

        yield show


def _begin(stack: ExitStack, what: str, total: int) -> Callable[[int], None]:
    if not sys.stderr.isatty():
        click.echo(f"{what}: {total:,} …", err=True)
        return lambda done: None
    from rich.console import Console
    from rich.progress import Progress

    bar = stack.enter_context(Progress(console=Console(stderr=True), transient=True))
    task = bar.add_task(what, total=total)
    return lambda done: bar.update(task, completed=done)
