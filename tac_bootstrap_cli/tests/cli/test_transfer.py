from __future__ import annotations

from pathlib import Path

import pytest

from ..store.support import connected
from .support import Caller


def test_a_store_is_moved_and_says_what_to_do_next(call: Caller, store: Path | str, tmp_path: Path) -> None:
    result = call("transfer", str(tmp_path / "target.db"))
    assert (result.code, result.err) == (0, "")
    assert result.out == (
        f"{tmp_path / 'target.db'} holds what is in {store}: 2 sessions, 5 agents, 6 prompts, 12 logs. "
        "Every row was compared.\n"
        "Set TAC_ORCHESTRATOR_DB to it. The old store is as it was.\n"
    )
    assert call("sessions", "--db", str(tmp_path / "target.db"), "--json").json == call("sessions", "--json").json


def test_programs_get_the_numbers_of_rows_and_their_checksums(call: Caller, store: Path | str, tmp_path: Path) -> None:
    there = call("transfer", str(tmp_path / "target.db"), "--json").json
    back = call("transfer", str(tmp_path / "back.db"), "--db", str(tmp_path / "target.db"), "--json").json
    assert (there["source"], there["target"], there["is_moved"]) == (str(store), str(tmp_path / "target.db"), True)
    assert there["tables"]["prompts"]["rows"] == 6
    assert len(there["tables"]["prompts"]["checksum"]) == 32
    assert back["tables"] == there["tables"]
    assert (there["misfits"], there["misfit_count"]) == ([], 0)


def test_rows_that_cannot_go_are_listed_and_nothing_is_moved(
    call: Caller, store: Path | str, path: Path, tmp_path: Path
) -> None:
    with connected(path) as connection:
        connection.execute("UPDATE system_logs SET message = 'a' || char(0) || char(27) || '[31m' WHERE id = 1")
        connection.execute("UPDATE system_logs SET created_at = 'on day \x1b[31m' WHERE id = 2")
    result = call("transfer", str(tmp_path / "target.db"))
    assert result.code == 5
    assert result.out.splitlines() == [
        "system_logs 1, message: it holds a NUL character",
        r"system_logs 2, created_at: 'on day \x1b[31m' is not a time",
    ]
    assert "2 values of the store cannot be moved; nothing was." in result.err
    assert not (tmp_path / "target.db").exists()
    found = call("transfer", str(tmp_path / "target.db"), "--json")
    assert (found.code, found.json["is_moved"], found.json["misfit_count"]) == (5, False, 2)
    assert found.json["misfits"][0] == {
        "table": "system_logs",
        "id": "1",
        "column": "message",
        "reason": "it holds a NUL character",
    }


def test_a_store_that_holds_something_is_not_written_to(call: Caller, store: Path | str, tmp_path: Path) -> None:
    assert call("transfer", str(tmp_path / "target.db")).code == 0
    again = call("transfer", str(tmp_path / "target.db"))
    assert (again.code, again.out) == (5, "")
    assert "Name a new file" in again.err


def test_without_a_store_there_is_nothing_to_move(call: Caller, path: Path, tmp_path: Path) -> None:
    result = call("transfer", str(tmp_path / "target.db"))
    assert (result.code, "there is no database yet" in result.err) == (4, True)
    assert not (tmp_path / "target.db").exists()


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_nobody_sees_the_password(call: Caller, store: Path | str, arguments: list[str]) -> None:
    secret = "geh" + "eim"
    result = call("transfer", f"postgresql://nobody:{secret}@127.0.0.1:1/nowhere?sslpassword={secret}", *arguments)
    assert result.code == 4
    assert "postgresql://nobody@127.0.0.1:1/nowhere" in result.err
    assert secret not in result.out + result.err
