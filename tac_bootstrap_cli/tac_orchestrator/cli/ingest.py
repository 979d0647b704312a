"""tac-orch ingest"""

from __future__ import annotations

import gzip
import re
import signal
import sys
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from tac_orchestrator.cli.failures import NEGATIVE, OK
from tac_orchestrator.cli.formats import counted, number
from tac_orchestrator.cli.harmless import visible
from tac_orchestrator.cli.interrupts import run
from tac_orchestrator.cli.options import command, group
from tac_orchestrator.cli.output import Screen, print_json_rows
from tac_orchestrator.cli.progress import progress
from tac_orchestrator.database import Database
from tac_orchestrator.errors import NotFound
from tac_orchestrator.ingest.claude_code.piped import Part, pass_on

if TYPE_CHECKING:
    from tac_orchestrator.ingest.otel import Body, Signal

_LARGEST = 64 * 1024 * 1024
"""Bytes that a body may have once it is unpacked: as many as the server takes."""

_FEW = 20
"""Bodies that are taken before anybody wonders."""

_GZIP = b"\x1f\x8b"
_SIGNALS = ("traces", "logs", "metrics")


@group("ingest")
def ingest() -> None:
    """Take in what other programs send, as it comes or as it was captured.

    What is taken in again changes nothing.
    """


@command(
    "stream-json",
    examples=[
        'claude -p "Fix it" --output-format stream-json --verbose | tac-orch ingest stream-json',
        "claude -p … | tac-orch ingest stream-json --adw-id a1b2c3d4 --agent tester > agents/a1b2c3d4/tester/raw_output.jsonl",
    ],
)
@click.option("--adw-id", metavar="ID", help="The workflow that the run is a part of.")
@click.option("--agent", metavar="NAME", help="What the run is called in its workflow.  [default: claude-code]")
def stream_json(target: str | None, as_json: bool, adw_id: str | None, agent: str | None) -> None:
    """Record what Claude Code prints, and pass it on.

    Standard input is copied to standard output, byte for byte and at once, and recorded while it comes. A store that is
    broken costs the record, never the pipe.
    """
    if agent is not None and adw_id is None:
        raise click.UsageError("--agent names a part of a workflow: say which one with --adw-id.")
    part = None if adw_id is None else Part(adw_id, agent or "claude-code")
    sys.stdout.flush()
    with _until_the_input_ends():
        run(pass_on(0, 1, target=target, part=part))


@contextmanager
def _until_the_input_ends() -> Generator[None]:
    """Ctrl-C reaches everybody in a pipe. Whoever writes to us says last words, which are to be passed on."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of one body."""

    file: str
    signal: str
    spans: int = 0
    logs: int = 0
    ignored: int = 0
    rejected: int = 0
    reason: str | None = None


@command(
    "otlp",
    examples=[
        "tac-orch ingest otlp captured/*.pb",
        "tac-orch ingest otlp --signal traces - < body.json",
    ],
)
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--signal", "kind", type=click.Choice(_SIGNALS), help="What the files hold, if their names do not say so.")
def otlp(target: str | None, as_json: bool, files: tuple[str, ...], kind: Signal | None) -> int:
    """Replay what exporters of OpenTelemetry have sent.

    Each FILE is the body of one request: protobuf (.pb) or JSON (.json), also packed with gzip; in a .jsonl each line is one.
    Whether it holds traces or logs is said by its name, by JSON itself, or by --signal. `-` is the standard input. The exit
    code is 1 if a body could not be read.
    """
    bodies = [one for file in files for one in _bodies(file, kind)]
    outcomes = run(_replay(target, bodies))
    if as_json:
        print_json_rows(_values(one) for one in outcomes)
    else:
        _tell(outcomes)
    return NEGATIVE if any(one.signal == "unreadable" for one in outcomes) else OK


def _bodies(file: str, kind: Signal | None) -> list[tuple[str, Body | str]]:
    """By the file's name; or why there is none. Raises NotFound."""
    from tac_orchestrator.ingest.otel import Body

    try:
        data = _unpacked(sys.stdin.buffer.read(_LARGEST + 1) if file == "-" else _content(Path(file)))
    except (OSError, EOFError, zlib.error, ValueError) as error:
        return [(file, f"it cannot be read: {error}")]
    is_json = data.lstrip()[:1] == b"{"
    lines = data.splitlines() if is_json and re.search(r"\.(jsonl|ndjson)(\.gz)?$", file) else [data]
    found = list[tuple[str, Body | str]]()
    for line in filter(bytes.strip, lines):
        signal = kind or _signal_of(file, line if is_json else b"")
        found.append(
            (file, Body(signal, "application/json" if is_json else "application/x-protobuf", line) if signal else _WHICH)
        )
    return found or [(file, "it is empty")]


_WHICH = "nothing says whether it holds traces or logs: say so with --signal"


def _content(path: Path) -> bytes:
    if not path.is_file():
        raise NotFound("file", str(path))
    with path.open("rb") as stream:
        return stream.read(_LARGEST + 1)


def _unpacked(data: bytes) -> bytes:
    """Raises ValueError for what would take too much memory."""
    if data.startswith(_GZIP):
        import io

        data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ValueError(f"a body may have {_LARGEST:,} bytes")
    return data


def _signal_of(file: str, json: bytes) -> Signal | None:
    from tac_orchestrator.ingest.otel import Signal

    told: dict[str, bytes] = {"traces": b'"resourceSpans"', "logs": b'"resourceLogs"', "metrics": b'"resourceMetrics"'}
    words = re.split(r"[^a-z]+", Path(file).name.lower())
    return next((one for one in get_args(Signal) if told[one] in json or one in words or one.removesuffix("s") in words), None)


async def _replay(target: str | None, bodies: list[tuple[str, Body | str]]) -> list[_Outcome]:
    outcomes = list[_Outcome]()
    with progress("Bodies", worth=_FEW) as show:
        async with Database.open(target) as database:
            for file, body in bodies:
                outcomes.append(await _take(database, file, body))
                show(len(outcomes), len(bodies))
    return outcomes


async def _take(database: Database, file: str, body: Body | str) -> _Outcome:
    from tac_orchestrator.ingest.otel import UnreadableBody, ingest_otlp

    if isinstance(body, str):
        return _Outcome(file, "unreadable", reason=body)
    try:
        taken = await ingest_otlp(database, [body])
    except UnreadableBody as error:
        return _Outcome(file, "unreadable", reason=error.reason)
    return _Outcome(file, body.signal, taken.spans, taken.logs, taken.ignored, taken.rejected_count, taken.reason or None)


def _values(outcome: _Outcome) -> dict[str, Any]:
    return {name: getattr(outcome, name) for name in _Outcome.__slots__}


def _tell(outcomes: list[_Outcome]) -> None:
    """What was taken, and each body that was not, or not as a whole."""
    screen = Screen()
    unreadable = sum(one.signal == "unreadable" for one in outcomes)
    rejected, ignored = sum(one.rejected for one in outcomes), sum(one.ignored for one in outcomes)
    screen.fields(
        (
            ("bodies", number(len(outcomes)) + (f", {number(unreadable)} of them unreadable" if unreadable else "")),
            ("spans", number(sum(one.spans for one in outcomes))),
            ("logs", number(sum(one.logs for one in outcomes))),
            ("rejected", number(rejected) if rejected else None),
            ("passed over", f"{counted(ignored, 'metric')}: spans say the same" if ignored else None),
        )
    )
    for one in outcomes:
        if one.reason is not None:
            click.echo(f"{visible(one.file)}: {visible(one.reason)}", err=True)


ingest.add_command(stream_json)
ingest.add_command(otlp)
