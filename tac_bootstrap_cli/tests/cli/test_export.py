from __future__ import annotations

import asyncio
import csv
import json
import os
import resource
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tac_orchestrator import Database
from tac_orchestrator.ops.formats import COLUMNS

from .support import PROGRAM, Caller

ODD = "\x1b]0;owned\x07\u202e=1+1\nü"


def test_json_lines_of_all_tables_begin_with_the_name_of_theirs(call: Caller, store: Path | str) -> None:
    rows = [json.loads(line) for line in call("export").out.splitlines()]

    assert [next(iter(row)) for row in rows] == ["table"] * len(rows)
    assert {row["table"] for row in rows} == COLUMNS.keys()
    assert [row["cost_usd"] for row in rows if row["table"] == "prompts"].count("0.25") == 2


def test_one_table_of_one_session(call: Caller, store: Path | str) -> None:
    rows = [json.loads(line) for line in call("export", "--table", "prompts", "--session", "issue-41").out.splitlines()]

    assert [row["prompt_type"] for row in rows] == ["adw", "command", "followup"]


def test_times_choose(call: Caller, store: Path | str) -> None:
    assert call("export", "--table", "prompts", "--until", "1d").out == ""
    assert len(call("export", "--table", "prompts", "--since", "1d").out.splitlines()) == 6


def test_csv_has_a_line_of_names(call: Caller, store: Path | str) -> None:
    rows = list(csv.DictReader(call("export", "--format", "csv", "--table", "agents").out.splitlines()))

    assert list(rows[0]) == list(COLUMNS["agents"])
    assert len(rows) == 5


def test_json_gives_an_array_or_says_what_was_written(call: Caller, store: Path | str, tmp_path: Path) -> None:
    file = tmp_path / "logs.sql"

    assert len(call("export", "--table", "system_logs", "--json").json) == 2
    assert call("export", "--table", "system_logs", "--until", "1d", "--json").json == []
    written = call("export", "--format", "sql", "-o", str(file), "--json").json
    assert written["rows"] > 20
    assert written == {"path": str(file), "format": "sql", "rows": written["rows"], "size_bytes": file.stat().st_size}


def test_a_file_is_its_owners_and_holds_what_a_pipe_gets(call: Caller, store: Path | str, tmp_path: Path) -> None:
    file = tmp_path / "all.jsonl"
    before = os.umask(0)
    try:
        result = call("export", "-o", str(file))
    finally:
        os.umask(before)

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text() == call("export").out
    assert result.out.startswith(f"{file} (")


def test_nothing_is_overwritten_and_no_link_followed(call: Caller, store: Path | str, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    for name in ("there", "link"):
        result = call("export", "-o", str(tmp_path / name))
        assert (result.code, "nothing was overwritten" in result.err) == (5, True)
    assert (tmp_path / "there").read_text() == "precious"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("--format", "csv"),
        ("--format", "xml"),
        ("--table", "leases"),
        ("--spreadsheet",),
        ("--format", "sql", "--json"),
        ("--format", "sql", "--table", "sessions"),
        ("--since", "soon"),
    ],
)
def test_what_makes_no_sense_is_an_error_of_use(call: Caller, store: Path | str, arguments: tuple[str, ...]) -> None:
    assert (call("export", *arguments).code, call("export", *arguments).out) == (2, "")


def test_a_session_that_is_not_there_is_not_found(call: Caller, store: Path | str) -> None:
    assert call("export", "--session", "nobody").code == 3


def test_a_file_that_cannot_be_made_is_named(call: Caller, store: Path | str, tmp_path: Path) -> None:
    result = call("export", "-o", str(tmp_path / "nowhere" / "all.jsonl"))

    assert (result.code, result.err) == (1, f"Error: {tmp_path / 'nowhere' / 'all.jsonl'}: No such file or directory\n")


async def log(target: Path | str, message: str) -> None:
    async with Database.open(target) as db:
        await db.system_logs.create("api", message)


def test_a_disk_that_fills_up_leaves_no_file(store: Path | str, tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    asyncio.run(log(store, "long " * 40_000))
    file = tmp_path / "out" / "all.jsonl"
    file.parent.mkdir()
    done = subprocess.run([PROGRAM, "export", "-o", str(file)], preexec_fn=limit, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (1, f"Error: {file}: File too large\n")
    assert list(file.parent.iterdir()) == []


def test_a_terminal_obeys_nothing_that_is_stored(call: Caller, target: Path | str) -> None:
    asyncio.run(log(target, ODD))
    for format in ("jsonl", "csv", "sql"):
        shown = call("export", "--format", format, "--table", "system_logs", columns=80).out
        assert "owned" in shown
        assert not {"\x1b", "\x07", "\u202e"} & set(shown)


def test_a_pipe_gets_utf_8_and_line_ends_as_they_are(
    target: Path | str, program: Callable[..., subprocess.CompletedProcess[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(log(target, ODD))
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")

    out = program("export", "--format", "csv", "--table", "system_logs", encoding="utf-8").stdout

    assert ODD in out


def test_a_spreadsheet_finds_no_formula(call: Caller, target: Path | str) -> None:
    asyncio.run(log(target, "=HYPERLINK(1)"))

    out = call("export", "--format", "csv", "--table", "system_logs", "--spreadsheet").out

    assert out.startswith("\N{BYTE ORDER MARK}id,")
    assert ",'=HYPERLINK(1)," in out


def test_a_reader_who_has_seen_enough_is_no_error(store: Path | str) -> None:
    script = '"$0" export | head -n 1 > /dev/null; echo "${PIPESTATUS[0]}"'

    done = subprocess.run(["bash", "-c", script, PROGRAM], capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("0\n", "")


def test_an_export_makes_no_store(call: Caller, path: Path, tmp_path: Path) -> None:
    assert call("export", "-o", str(tmp_path / "all.jsonl")).code == 4
    assert list(tmp_path.iterdir()) == []
