from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tac_orchestrator.ops.backup import backups_of

from .support import Caller

OF_EVERY_STORE = {"schema", "lost_agents", "growth", "redaction", "dropped_logs"}
OF_FILES = {"lock", "foreign_keys", "indexes", "statistics", "disk_space", "sqlite", "file_modes", "file_system", "backups",
            "gitignore"}  # fmt: skip
OF_SERVERS = {"server", "durability", "connections", "feed"}


def test_a_store_in_health_is_said_to_be(call: Caller, store: Path | str) -> None:
    result = call("doctor", "--json")

    assert result.code == 0
    assert "error" not in {row["state"] for row in result.json}
    assert all(set(row) == {"name", "state", "message", "remedy"} for row in result.json)
    looked_at = {row["name"] for row in result.json}
    here, elsewhere = (OF_FILES, OF_SERVERS) if isinstance(store, Path) else (OF_SERVERS, OF_FILES)
    assert OF_EVERY_STORE | here <= looked_at
    assert not elsewhere & looked_at


def test_people_read_a_line_each_and_what_to_do(call: Caller, store: Path | str, path: Path) -> None:
    lines = call("doctor").out.splitlines()

    place = next(number for number, line in enumerate(lines) if line.startswith("warning  backups "))
    assert lines[place].endswith("there are none")
    assert lines[place + 1].split()[:3] == ["Try:", "`tac-orch", "backup`,"]


def test_the_line_of_a_crontab_backs_up_this_store_from_anywhere(call: Caller, store: Path, path: Path) -> None:
    (remedy,) = (row["remedy"] for row in call("doctor", "--json").json if row["name"] == "backups")
    command = remedy.split("`")[-2].removeprefix("0 3 * * * ")

    subprocess.run(["sh", "-c", command], env={"PATH": "/usr/bin:/bin"}, cwd="/", check=True)

    assert len(backups_of(path)) == 1


def test_a_terminal_gets_colors(call: Caller, store: Path | str) -> None:
    assert "\x1b[32mok" in call("doctor", columns=100).out
    assert "\x1b" not in call("doctor").out


def test_without_a_store_it_looks_at_the_rest(call: Caller, path: Path) -> None:
    result = call("doctor")

    assert (result.code, "there is no database yet" in result.out) == (0, True)
    assert not path.exists()


@pytest.mark.parametrize(
    "content", [b"no database, but long enough to be looked at " * 100, b"SQLite format 3\0" + b"\xff" * 9000]
)
def test_a_file_that_is_no_store_is_an_error_and_left_as_it_is(call: Caller, path: Path, content: bytes) -> None:
    path.write_bytes(content)

    result = call("doctor", "--json")

    assert (result.code, result.err) == (1, "")
    assert path.read_bytes() == content


def test_names_of_files_are_harmless(call: Caller, tmp_path: Path) -> None:
    assert "\x1b" not in call("doctor", "--db", str(tmp_path / "a\x1b[2J.db")).out
