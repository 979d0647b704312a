"""How long a process takes until it is of use, from its start to its end, with compiled bytecode and a warm file system."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from time import perf_counter

from harness import Budget, print_surroundings, print_table, spread, temporary_folder

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    results: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with temporary_folder(None) as folder:
        print_surroundings(folder)
        for number in range(-1, given.rounds):  # the first round compiles
            for name, (arguments, _) in COMMANDS.items():
                spent = duration_ms(arguments, folder, number)
                if number >= 0:
                    results[name].append(spent)
    rows = [
        [name, spread(results[name]), str(budget or ""), budget.verdict(median(results[name])) if budget else ""]
        for name, (_, budget) in COMMANDS.items()
    ]
    print_table(("what", "ms", "budget", ""), rows)


if __name__ == "__main__":
    main()
