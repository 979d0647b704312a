"""What the user is told when something goes wrong, and the code that the process ends with."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from typing import Any

import click

from tac_orchestrator.cli.harmless import visible
from tac_orchestrator.errors import (
    DatabaseBusy,
    DatabaseUnavailable,
    InvalidSetting,
    NotFound,
    OrchestratorError,
    SchemaError,
)

OK, NEGATIVE, USAGE, NOT_FOUND, UNAVAILABLE, INVALID, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130

EXIT_CODES = {
    OK: "done",
    NEGATIVE: "the answer is no: a check failed",
    USAGE: "the command was not understood",
    NOT_FOUND: "what was asked for does not exist",
    UNAVAILABLE: "the store cannot be reached, or was refused",
    INVALID: "a value that the store does not take",
    INTERRUPTED: "interrupted",
}

_CODES: Sequence[tuple[type[OrchestratorError], int]] = (
    (NotFound, NOT_FOUND),
    (InvalidSetting, USAGE),
    (SchemaError, UNAVAILABLE),
    (DatabaseBusy, UNAVAILABLE),
    (DatabaseUnavailable, UNAVAILABLE),
    (OrchestratorError, INVALID),
)


class Ended(SystemExit):
    """Somebody has ended this process, which has tidied up."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self._number = number

    def by_its_signal(self) -> None:
        """So that who waits for this process sees what it was."""
        signal.signal(self._number, signal.SIG_DFL)
        os.kill(os.getpid(), self._number)


def report(error: OrchestratorError | click.ClickException, *, as_json: bool) -> int:
    """Says on standard error what went wrong and what to try, and returns the exit code."""
    if isinstance(error, click.ClickException):
        code, message, hint = error.exit_code, error.format_message(), _usage_hint(error)
    else:
        code = next(code for kind, code in _CODES if isinstance(error, kind))
        message, hint = str(error), error.hint
    if as_json:
        told = {"error": message, "kind": type(error).__name__, "hint": hint or None, "exit_code": code}
        click.echo(json.dumps(told), err=True)
    else:
        click.echo(f"Error: {visible(message)}", err=True)
        if hint:
            click.echo(f"Try: {visible(hint)}", err=True)
    return code


def wants_json(arguments: Sequence[str]) -> bool:
    """Also when the arguments could not be understood. What follows `--` is no option of ours."""
    ours = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return "--json" in ours


def report_warnings(*, as_json: bool) -> None:
    """Have the library's warnings shown in the same way as its errors."""
    handler = _Warnings(as_json)
    logging.getLogger("tac_orchestrator").addHandler(handler)

    def show(message: Warning | str, *_place: Any, **_more: Any) -> None:
        handler.tell(str(message))

    warnings.showwarning = show


class _Warnings(logging.Handler):
    """Shows each trouble once, however many writes it stops."""

    def __init__(self, as_json: bool) -> None:
        super().__init__(logging.WARNING)
        self._as_json = as_json
        self._told = set[str]()

    def emit(self, record: logging.LogRecord) -> None:
        reasons = [str(reason) for reason in record.args or () if isinstance(reason, Exception)]
        if not reasons or not self._told.issuperset(reasons):
            self._told.update(reasons)
            self.tell(record.getMessage(), "error" if record.levelno >= logging.ERROR else "warning")

    def tell(self, message: str, kind: str = "warning") -> None:
        sys.stdout.flush()
        click.echo(json.dumps({kind: message}) if self._as_json else f"{kind.title()}: {visible(message)}", err=True)


def _usage_hint(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{context.command_path} --help" if context is not None else ""
