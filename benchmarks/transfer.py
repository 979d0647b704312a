"""How fast a store of logs moves to PostgreSQL and back: checked, copied, compared, with its indexes made anew, all in all.

The server is on the same machine, and has its share of it.
"""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from statistics import median
from time import perf_counter

from tac_bootstrap_cli.tests.postgres.running import new_cluster

from benchmarks.harness import Budget, Line, ProgressLine, Size, spread
from benchmarks.postgres import DURABLE
from benchmarks.writes import FEWEST, bulk_logs
from tac_orchestrator import Database
from tac_orchestrator.ops.transfer import transfer

ROWS = 1_500_000
MOVED = Budget(30_000, "/s", at_least=True)


def measure(size: Size, folder: Path) -> list[Line]:
    count = max(int(ROWS * size.writes), FEWEST)
    source, there, back = folder / "transfer.db", list[float](), list[float]()
    progress = ProgressLine("Moving a store", 1 + 2 * size.rounds)
    progress.show(0)
    asyncio.run(bulk_logs(source, count))
    with new_cluster(settings=DURABLE) as cluster:
        for number in range(size.rounds):
            progress.show(1 + 2 * number)
            there.append(count / _seconds(source, cluster.url("moved")))
            progress.show(2 + 2 * number)
            back.append(count / _seconds(cluster.url("moved"), folder / f"transfer back {number}.db"))
            cluster.sql("DROP DATABASE moved WITH (FORCE)")
    progress.show(1 + 2 * size.rounds)
    return [
        Line("transfer: logs to PostgreSQL, /s", spread(there), median(there), MOVED),
        Line("transfer: logs to a file, /s", spread(back), median(back), MOVED),
    ]


def _seconds(source: Path | str, target: Path | str) -> float:
    gc.collect()
    start = perf_counter()
    asyncio.run(transfer(Database.open(source, create=False), target))
    return perf_counter() - start
