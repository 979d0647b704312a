"""tac-orch doctor"""

from __future__ import annotations

from typing import Literal

import click

from tac_orchestrator.cli.interrupts import run
from tac_orchestrator.cli.options import command
from tac_orchestrator.cli.upkeep import tell_findings
from tac_orchestrator.ops.arrivals import diagnose_arrivals
from tac_orchestrator.ops.doctor import diagnose
from tac_orchestrator.settings import Settings


@command(
    "doctor",
    examples=[
        "tac-orch doctor",
        "tac-orch doctor --json | jq '.[] | select(.state != \"ok\")'",
        "tac-orch doctor ingest",
    ],
)
@click.argument("about", metavar="[ingest]", required=False, type=click.Choice(["ingest"]))
def doctor(target: str | None, as_json: bool, about: Literal["ingest"] | None) -> int:
    """Look for everything that may be wrong, and say what to do about it.

    Nothing is changed, and nothing takes long: `tac-orch db check` reads the whole store. The exit code is 1 if there is an
    error; warnings may be lived with. `ingest` says what has arrived lately, from where, and what was left out and why.
    """
    settings = Settings.from_environment()
    look = diagnose_arrivals if about == "ingest" else diagnose
    findings = run(look(settings if target is None else settings.at(target)))
    return tell_findings(findings, as_json=as_json)
