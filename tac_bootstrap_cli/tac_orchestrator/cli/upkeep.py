"""What the commands that look after a store have in common."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext

from tac_orchestrator.cli.failures import NEGATIVE, OK
from tac_orchestrator.cli.harmless import visible
from tac_orchestrator.cli.output import Screen, print_json_rows
from tac_orchestrator.cli.progress import progress
from tac_orchestrator.engines.base import Finding

_COLORS = {"ok": "green", "warning": "yellow", "error": "red"}


def bar(what: str) -> AbstractContextManager[Callable[[int, int], None] | None]:
    """How far the work is, where somebody sits and watches."""
    return progress(what) if sys.stderr.isatty() else nullcontext()


def tell_findings(findings: list[Finding], *, as_json: bool) -> int:
    """Returns the exit code."""
    if as_json:
        print_json_rows(_row(finding) for finding in findings)
    else:
        screen, width = Screen(), max((len(finding.name) for finding in findings), default=0)
        for finding in findings:
            for line in _lines(screen, finding, width):
                screen.line(line)
    return NEGATIVE if any(finding.state == "error" for finding in findings) else OK


def _row(finding: Finding) -> dict[str, str | None]:
    return {"name": finding.name, "state": finding.state, "message": finding.message, "remedy": finding.remedy or None}


def _lines(screen: Screen, finding: Finding, width: int) -> Iterator[str]:
    state = screen.styled(finding.state.ljust(7), fg=_COLORS[finding.state])
    yield f"{state}  {finding.name.ljust(width)}  {visible(finding.message)}"
    if finding.remedy:
        yield f"{' ' * (width + 11)}Try: {visible(finding.remedy)}"
