"""What the benchmarks share: the rows that they write, clocks, and tables."""

from __future__ import annotations

import os
import platform
import random
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory, TemporaryFile
from time import perf_counter
from typing import Any

import orjson

from tac_orchestrator.engines.sqlite.library import VERSION, sqlite
from tac_orchestrator.settings import Settings

MODEL = "claude-sonnet-4-5"
LOG_MESSAGE_BYTES = 120
LOG_DETAILS_BYTES = 223
PROMPT_BYTES = 2048
RESPONSE_BYTES = 1024
TOKENS = {"tokens_input": 812, "tokens_output": 240}

_BEGINNINGS = ("ab", "con", "de", "ex", "for", "in", "mon", "or", "per", "pro", "re", "se", "sub", "tra", "un", "ver")
_ENDINGS = ("ate", "ber", "ence", "form", "gle", "ing", "ion", "ment", "nal", "ous", "ple", "ship", "ter", "tor", "ty", "ward")


def words(number: int) -> list[str]:
    """Made-up words, few of them common and most of them rare, as in any language."""
    vocabulary = [beginning + ending for ending in _ENDINGS for beginning in _BEGINNINGS]
    return random.Random(7).choices(vocabulary, [1 / (place + 1) for place in range(len(vocabulary))], k=number)


def texts(number: int, size: int) -> list[str]:
    """Texts of so many ASCII bytes. None of them holds a secret, or anything that one begins with."""
    stream = iter(words(number * (size // 4 + 2)))
    found = list[str]()
    for place in range(number):
        text = f"{place}"
        while len(text) < size:
            text += f" {next(stream)}"
        found.append(text[:size])
    return found


def logs(number: int) -> list[tuple[str, dict[str, Any]]]:
    """Messages, and details of LOG_DETAILS_BYTES as JSON."""
    return [(text, _details(place)) for place, text in enumerate(texts(number, LOG_MESSAGE_BYTES))]


def _details(place: int) -> dict[str, Any]:
    details = {"tool": "pytest", "attempt": place % 3, "duration_ms": 1000 + place, "passed": True, "output": ""}
    details["output"] = texts(1, LOG_DETAILS_BYTES - len(orjson.dumps(details)))[0]
    return details


def settings(path: Path | str) -> Settings:
    """Those of a user who has set nothing, whatever the environment says."""
    return Settings(database=str(path))


@contextmanager
def temporary_folder(parent: Path | None) -> Generator[Path]:
    with TemporaryDirectory(prefix="tac-orchestrator-benchmark-", dir=parent) as folder:
        yield Path(folder)


def print_surroundings(folder: Path) -> None:
    """What the figures depend on. A sync that takes no time is one that makes nothing durable."""
    version = ".".join(map(str, VERSION))
    print(f"Python {platform.python_version()}, SQLite {version} ({sqlite.__name__}), {os.cpu_count()} cores")
    print(f"{folder}: median fsync of 4 KB {fsync_ms(folder):.2f} ms\n")


def fsync_ms(folder: Path) -> float:
    with TemporaryFile(dir=folder, buffering=0) as file:
        spent = list[float]()
        for _ in range(50):
            file.write(bytes(4096))
            start = perf_counter()
            os.fsync(file.fileno())
            spent.append((perf_counter() - start) * 1000)
    return median(spent)


def spread(values: Sequence[float]) -> str:
    """Median, lowest and highest."""
    return f"{_short(median(values))} [{_short(min(values))}..{_short(max(values))}]"


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def percentile(values: Sequence[float], percent: float) -> float:
    return sorted(values)[min(int(len(values) * percent / 100), len(values) - 1)]


@dataclass(frozen=True, slots=True)
class Budget:
    """What a figure has to keep within."""

    limit: float
    unit: str = ""
    at_least: bool = False

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}{self.unit}"

    def holds(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table. Without a budget, it is there to be known. `judged` is what the budget is for: the ratio, if there
    is a baseline, else the figure measured. `others` are the measurements of its kind that hold and are not shown."""

    what: str
    measured: str
    judged: float = 0.0
    budget: Budget | None = None
    baseline: str = ""
    ratio: str = ""
    on_our_schema: str = ""
    others: int = 0

    @property
    def holds(self) -> bool:
        return self.budget is None or self.budget.holds(self.judged)

    def cells(self) -> tuple[str, ...]:
        verdict = ("holds" if self.holds else "FALLS SHORT") if self.budget else ""
        return self.what, self.measured, self.baseline, self.ratio, self.on_our_schema, str(self.budget or ""), verdict


HEADER = ("what", "measured", "plain SQL", "ratio", "plain SQL on our schema: ratio", "budget", "")


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: rounds; shares of the full numbers of rows that are written, and of those that are read; how many
    processes write at once; how often each query is asked."""

    rounds: int
    writes: float
    reads: float
    processes: int
    repeats: int


FULL = Size(rounds=5, writes=1.0, reads=1.0, processes=16, repeats=7)
SMALL = Size(rounds=3, writes=0.2, reads=0.01, processes=16, repeats=7)
TINY = Size(rounds=1, writes=0.01, reads=0.002, processes=2, repeats=1)


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    for row in (header, ["-" * width for width in widths], *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


class ProgressLine:
    """One line on standard error that is written over; where that is no terminal, a line every tenth."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = max(total, 1)
        self._began = perf_counter()
        self._shown = -1
        self._step = 1 if sys.stderr.isatty() else 10

    def show(self, done: int) -> None:
        percent = done * 100 // self._total
        if percent // self._step <= self._shown // self._step:
            return
        self._shown = percent
        end = "\r" if self._step == 1 and percent < 100 else "\n"
        seconds = perf_counter() - self._began
        print(f"{self._what}: {percent:3} %, {done} of {self._total}, {seconds:.0f} s", end=end, file=sys.stderr, flush=True)
