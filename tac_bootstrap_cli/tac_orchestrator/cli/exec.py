"""tac-orch exec"""

from __future__ import annotations

import os
from typing import get_args

import click

from tac_orchestrator.cli.interrupts import run
from tac_orchestrator.cli.options import command
from tac_orchestrator.models import AgentType


@command(
    "exec",
    examples=[
        "tac-orch exec --agent tester --type tester -- pytest -q",
        "tac-orch exec --agent builder --session issue-42 -- ./build.sh --fast",
    ],
    context_settings={"allow_interspersed_args": False},
)
@click.option("--agent", metavar="NAME", required=True, help="What the agent is called. It is registered if it is new.")
@click.option(
    "--type", "agent_type", type=click.Choice(get_args(AgentType)), default="utility", show_default=True, help="If it is new."
)
@click.option(
    "--session", metavar="ID", help="The workflow that it is part of; else that of the agent around it, or a new one."
)
@click.argument("argv", metavar="COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def execute(
    target: str | None, as_json: bool, agent: str, agent_type: AgentType, session: str | None, argv: tuple[str, ...]
) -> int:
    """Run any command as a recorded agent.

    Its input, output and exit code are the command's own, and signals are sent on to it. Recorded are the command, its folder,
    how it ended, how long it took and the last part of its output. What it records itself, or runs like this, is below it in
    the tree. A store that is broken costs the record, never the command.
    """
    if os.name != "posix":
        raise click.ClickException("exec needs a POSIX system")
    from tac_orchestrator.ingest.command import run_command

    return run(run_command(argv, agent=agent, agent_type=agent_type, session_id=session, target=target))
