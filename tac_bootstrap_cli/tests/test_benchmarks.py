"""The benchmarks run, each in its smallest size. What they measure is no test's business: other programs share the machine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(300)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", "--tiny", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("part", "lines"),
    [
        ("writes", ["awaited logs, 64 tasks, /s", "bulk prompts, /s", "redaction of clean text, µs per KB"]),
        ("processes", ["2 processes, 16 tasks each: locked or other errors", "… the longest wait"]),
        ("startup", ["tac-orch --help, ms", "first use: open, write, close, ms"]),
        pytest.param(
            "ingest",
            ["until visible, /s: HTTP, one trace", "until visible, /s: in-process, traces of 49 spans"],
            marks=pytest.mark.long,
        ),
        ("server", ["server: a page of 50 sessions, ms", "server: a session of 1021 spans, ms", "the last of 100 listeners"]),
        pytest.param(
            "postgres",
            ["PostgreSQL: awaited logs, 64 tasks, /s", "PostgreSQL: bulk logs, /s", "PostgreSQL: bulk prompts, /s"],
            marks=pytest.mark.long,
        ),
        pytest.param(
            "postgres-reads",
            ["PostgreSQL: store, built", "PostgreSQL: search index, caught up", "PostgreSQL: tac-orch status: counts, ms"],
            marks=pytest.mark.long,
        ),
        pytest.param("transfer", ["transfer: logs to PostgreSQL, /s", "transfer: logs to a file, /s"], marks=pytest.mark.long),
        pytest.param(
            "page",
            ["page: first view, the list of sessions, ms", "while one scrolls through its logs, ms", "commit to pixel"],
            marks=pytest.mark.long,
        ),
    ],
)
def test_each_part_prints_what_it_measured(part: str, lines: list[str], tmp_path: Path) -> None:
    ended = run(part, "--folder", tmp_path)

    assert ended.returncode in (0, 1), ended.stderr
    assert all(line in ended.stdout for line in lines), ended.stdout
    assert "budgets hold." in ended.stdout


def test_the_large_store_is_built_once_and_read_again(tmp_path: Path) -> None:
    first, second = (run("reads", "--only", "sessions: newest", "--folder", tmp_path) for _ in range(2))

    assert "store, built" in first.stdout, first.stderr
    assert "store, built" not in second.stdout
    assert "sessions: newest, ms" in second.stdout, second.stderr


def test_a_budget_that_does_not_hold_ends_with_1() -> None:
    program = (
        "import sys\n"
        "from benchmarks.__main__ import show\n"
        "from benchmarks.harness import Budget, Line\n"
        "print(show([Line('fast', '1 ms', 1, Budget(2))]), show([Line('slow', '3 ms', 3, Budget(2))]))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert ended.stdout.splitlines()[-1] == "0 1"
    assert "FALLS SHORT" in ended.stdout
