"""A server that runs takes in what hooks write down, while they do."""

from __future__ import annotations

import json
import time
from pathlib import Path

from .support import Server, serving


def write_hook(store: Path, event: str) -> None:
    record = {"at": time.time_ns() // 1000, "hook": {"session_id": "s-1", "hook_event_name": event}}
    with Path(f"{store}-hooks").open("a") as spool:
        spool.write(f"{json.dumps(record)}\n")


def await_status(server: Server, wanted: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        statuses = {one["session_id"]: one["status"] for one in server.get("/api/sessions").json()["items"]}
        if statuses.get("s-1") == wanted:
            return
    raise AssertionError("the hooks were not taken in")


def test_a_session_is_seen_as_its_hooks_tell_of_it(tmp_path: Path) -> None:
    store = tmp_path / "orchestrator.db"
    with serving(store) as server:
        write_hook(store, "UserPromptSubmit")
        await_status(server, "running")
        write_hook(store, "Stop")
        await_status(server, "completed")


def test_a_server_that_only_reads_leaves_them(tmp_path: Path) -> None:
    store = tmp_path / "orchestrator.db"
    with serving(store):
        pass
    write_hook(store, "UserPromptSubmit")
    with serving(store, "--read-only") as server:
        assert server.get("/api/sessions").json()["items"] == []

    assert Path(f"{store}-hooks").exists()
