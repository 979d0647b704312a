"""One table: what was measured, the same by plain SQL in the same run, the ratio, the budget, and whether it holds.

The exit code is 1 if a budget does not hold.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import ingest, page, postgres, processes, reads, server, startup, transfer, writes
from benchmarks.harness import FULL, HEADER, SMALL, TINY, Line, Size, print_surroundings, print_table, temporary_folder

Part = Callable[[Size, Path], list[Line]]


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    size: Size = given.size
    if given.rounds is not None:
        size = dataclasses.replace(size, rounds=given.rounds)
    if given.folder is not None:
        given.folder.mkdir(parents=True, exist_ok=True)
    with temporary_folder(given.folder) as folder:
        print_surroundings(folder)
        parts = _parts(given.folder, given.only, given.server)
        wanted = parts if given.part == "all" else (given.part,)
        lines = [line for name in wanted for line in parts[name](size, folder)]
    return show(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("part", nargs="?", default="all", choices=[*_parts(None, "", None), "all"])
    sizes = parser.add_mutually_exclusive_group()
    sizes.set_defaults(size=FULL)
    sizes.add_argument("--small", dest="size", action="store_const", const=SMALL, help="minutes: for a trial")
    sizes.add_argument("--tiny", dest="size", action="store_const", const=TINY, help="seconds: shows only that it runs")
    parser.add_argument("--rounds", type=int, help=f"of writes and starts; {FULL.rounds} if not given")
    parser.add_argument(
        "--only", default="", metavar="WORDS", help="of the reads, those whose name has these words; each is shown"
    )
    parser.add_argument(
        "--folder",
        type=Path,
        help="where to make the databases, and to keep the large one to be read again; temporary if not given",
    )
    parser.add_argument(
        "--server", metavar="URL", help="a database of PostgreSQL for postgres-reads: filled once; one of its own if not given"
    )
    return parser


def _parts(folder: Path | None, only: str, url: str | None) -> dict[str, Part]:
    def read(size: Size, temporary: Path) -> list[Line]:
        return reads.measure(size, folder or temporary, keep=folder is not None, only=only)

    def read_server(size: Size, _temporary: Path) -> list[Line]:
        return reads.measure_postgres(size, url=url, only=only)

    def serve(size: Size, temporary: Path) -> list[Line]:
        return server.measure(size, folder or temporary)

    def show_page(size: Size, temporary: Path) -> list[Line]:
        return page.measure(size, folder or temporary)

    return {
        "writes": writes.measure,
        "postgres": postgres.measure,
        "transfer": transfer.measure,
        "processes": processes.measure,
        "startup": startup.measure,
        "server": serve,
        "page": show_page,
        "ingest": ingest.measure,
        "reads": read,
        "postgres-reads": read_server,
    }


def show(lines: Sequence[Line]) -> int:
    print_table(HEADER, [line.cells() for line in lines])
    judged = sum(1 + line.others for line in lines if line.budget is not None)
    short = sum(not line.holds for line in lines)
    print(f"\n{judged - short} of {judged} budgets hold.")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())
