from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tac_orchestrator import hook

from ..ingest.samples import main_transcript, write_lines
from .support import Caller, spool_of_hooks


def findings(call: Caller) -> dict[str, dict[str, str]]:
    return {one["name"]: one for one in call("doctor", "ingest", "--json").json}


def transcript(folder: Path, *bad: str) -> Path:
    """One of just now."""
    at = datetime.now(UTC).isoformat()
    text = main_transcript("claude-code-basic").read_text().splitlines()
    path = folder / "p" / main_transcript("claude-code-basic").name
    write_lines(path, [{**json.loads(line), "timestamp": at} for line in text])
    path.write_text("".join(f"{line}\n" for line in bad) + path.read_text())
    return path


def test_it_says_from_where_agents_came_and_when(call: Caller, store: Path | str, tmp_path: Path) -> None:
    call("import", "claude-code", str(transcript(tmp_path)))

    result = call("doctor", "ingest")

    assert result.code == 0
    assert "Claude Code's transcripts and output" in result.out
    assert "recorded by programs themselves" in result.out
    assert "1 imported in the last 7 days" in findings(call)["files"]["message"]


def test_lines_that_could_not_be_read_are_a_warning(call: Caller, tmp_path: Path) -> None:
    call("import", "claude-code", str(transcript(tmp_path, "this is no JSON")))

    assert findings(call)["files"]["state"] == "warning"
    assert "1 lines in them could not be read" in findings(call)["files"]["message"]


def test_what_exporters_sent_in_vain_is_named_with_the_reason(call: Caller, tmp_path: Path) -> None:
    body = tmp_path / "traces.json"
    body.write_text('{"resourceSpans": [{"scopeSpans": [{"spans": [{"name": "nameless"}]}]}]}')
    call("ingest", "otlp", str(body))

    told = findings(call)["rejected"]

    assert told["state"] == "warning"
    assert "1 × a span without a trace id and a span id" in told["message"]


@pytest.mark.parametrize(("size", "state"), [(0, "ok"), (100, "ok"), (hook.MAX_SPOOL, "error")])
def test_what_hooks_wait_with_is_measured(call: Caller, store: Path | str, size: int, state: str) -> None:
    with spool_of_hooks().open("wb") as spool:
        spool.truncate(size)

    assert findings(call)["hooks_waiting"]["state"] == state
    assert call("doctor", "ingest").code == (1 if state == "error" else 0)


def test_hooks_of_the_project_are_noticed(
    call: Caller, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Path | str
) -> None:
    (tmp_path / "adws").mkdir()
    monkeypatch.chdir(tmp_path)
    assert "none of ours" in findings(call)["hooks"]["message"]

    call("init", "--claude-code")

    assert "has them" in findings(call)["hooks"]["message"]


def test_a_store_that_is_not_there_is_an_error_and_is_not_made(call: Caller, path: Path) -> None:
    result = call("doctor", "ingest", "--json")

    assert (result.code, result.json[0]["name"]) == (1, "store")
    assert not path.exists()
