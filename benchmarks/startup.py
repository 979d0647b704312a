"""How long a process takes until it is of use, from its start to its end, with compiled bytecode and a warm file system."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmarks.harness import Budget, Line, Size, spread, temporary_folder

FIRST_USE = """
import asyncio, sys
from tac_orchestrator import Database

async def main():
    async with Database.open(sys.argv[1]) as database:
        await database.system_logs.create("benchmark", "the first write")

asyncio.run(main())
"""

DATABASE = "{database}"
"""Stands for a file that is not there yet."""

COMMANDS: Mapping[str, tuple[list[str], Budget | None]] = {
    "python -c pass": (["-c", "pass"], None),
    "import tac_orchestrator": (["-c", "import tac_orchestrator"], None),
    "tac-orch --help": (["-m", "tac_orchestrator", "--help"], Budget(150, " ms")),
    "first use: open, write, close": (["-c", FIRST_USE, DATABASE], None),
}


def environment() -> dict[str, str]:
    """With bytecode, as an installed program has it, and without what this shell has set for the store."""
    return {
        name: value
        for name, value in os.environ.items()
        if name != "PYTHONDONTWRITEBYTECODE" and not name.startswith("TAC_ORCHESTRATOR_")
    }


def duration_ms(arguments: list[str], folder: Path, number: int) -> float:
    database = str(folder / f"{number}" / "orchestrator.db")
    command = [sys.executable, *(database if each == DATABASE else each for each in arguments)]
    start = perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment(), cwd=folder)
    return (perf_counter() - start) * 1000


def measure(size: Size, folder: Path) -> list[Line]:
    results: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with temporary_folder(folder) as own:
        for number in range(-1, 2 * size.rounds - 1):  # the first round compiles
            for name, (arguments, _) in COMMANDS.items():
                spent = duration_ms(arguments, own, number)
                if number >= 0:
                    results[name].append(spent)
    return [Line(f"{name}, ms", spread(results[name]), median(results[name]), budget) for name, (_, budget) in COMMANDS.items()]
