"""tac-orch doctor"""

from __future__ import annotations

import asyncio

from tac_orchestrator.cli.options import command
from tac_orchestrator.cli.upkeep import tell_findings
from tac_orchestrator.ops.doctor import diagnose
from tac_orchestrator.settings import Settings


@command("doctor", examples=["tac-orch doctor", "tac-orch doctor --json | jq '.[] | select(.state != \"ok\")'"])
def doctor(target: str | None, as_json: bool) -> int:
    """Look for everything that may be wrong, and say what to do about it.

    Nothing is changed, and nothing takes long: `tac-orch db check` reads the whole store. The exit code is 1 if there is an
    error; warnings may be lived with.
    """
    settings = Settings.from_environment()
    findings = asyncio.run(diagnose(settings if target is None else settings.at(target)))
    return tell_findings(findings, as_json=as_json)
