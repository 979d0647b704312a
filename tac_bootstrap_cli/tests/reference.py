"""Prints docs/commands.md: what every command says of itself. `scripts/reference` keeps it; a test compares."""

from __future__ import annotations

from collections.abc import Iterator

import click

from tac_orchestrator.cli.main import SECTIONS, tac_orch

_HEAD = """# Commands

Every command has `--help` with examples, and `--json` for programs: arrays of objects, money as decimal text, unknown as null.
Written by `scripts/reference` from the commands themselves.
"""


def reference() -> str:
    parts = [_HEAD, f"```\n{_help(tac_orch, 'tac-orch')}\n```\n"]
    root = click.Context(tac_orch, info_name="tac-orch")
    for title, places in SECTIONS.items():
        parts.append(f"## {title}\n")
        for name in places:
            command = tac_orch.get_command(root, name)
            assert command is not None
            parts += _texts(command, f"tac-orch {name}", root)
    return "\n".join(parts)


def _texts(command: click.Command, path: str, parent: click.Context) -> Iterator[str]:
    yield f"### {path}\n\n```\n{_help(command, path)}\n```\n"
    if isinstance(command, click.Group):
        context = click.Context(command, info_name=path, parent=None)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            yield from _texts(child, f"{path} {name}", context)


def _help(command: click.Command, path: str) -> str:
    with click.Context(command, info_name=path, terminal_width=100, max_content_width=100) as context:
        return command.get_help(context)


if __name__ == "__main__":
    print(reference(), end="")
