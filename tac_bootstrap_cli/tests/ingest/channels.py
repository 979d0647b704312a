"""A run of Claude Code through its four channels, with ids as long as real ones are: by them it is known what is one thing."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from google.protobuf.json_format import MessageToDict, ParseDict
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tac_orchestrator import Database
from tac_orchestrator.ingest.claude_code import import_claude_code
from tac_orchestrator.ingest.claude_code.piped import Heard, StreamRecorder
from tac_orchestrator.ingest.otel import Body, ingest_otlp
from tac_orchestrator.ingest.spool import take_in

from .otel.captured import CAPTURED, bodies, one_by_one
from .samples import projects, stream
from .test_hooks import began, write

RUNS = tuple(name for name in CAPTURED if name.startswith("claude-code"))
HOOKED = tuple(name for name in RUNS if (stream(name).parent / "hooks.jsonl").is_file())


class Step(NamedTuple):
    """One thing that a store is told: all of a channel, or one body of the telemetry."""

    channel: str
    body: Body | None = None


class Run:
    """A captured run. Its transcripts are copied into this folder."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.transcripts = Path(shutil.copytree(projects(name), folder / name))
        for path in self.transcripts.rglob("*.json*"):
            path.write_text(_with_long_ids(path.read_text()))

    def steps(self, *channels: str) -> list[Step]:
        return [step for channel in channels for step in self._steps(channel)]

    def interleaved(self, seed: int, *channels: str) -> list[Step]:
        """Each record of the telemetry alone, in any order, and the other channels somewhere between them."""
        chance, steps = random.Random(seed), list(self._telemetry(one_by_one(self.name)))
        chance.shuffle(steps)
        for channel in channels:
            steps.insert(chance.randrange(len(steps) + 1), Step(channel))
        return steps

    async def tell(self, db: Database, steps: Iterable[Step]) -> None:
        for channel, body in steps:
            if body is not None:
                assert not (await ingest_otlp(db, [body])).rejected
            elif channel == "transcripts":
                await import_claude_code(db, [self.transcripts])
            elif channel == "stream":
                await self._pipe(db)
            else:
                write(db, self._hooks(), began(self.name))
                await take_in(db)

    def _steps(self, channel: str) -> Iterable[Step]:
        return self._telemetry(bodies(self.name)) if channel == "telemetry" else [Step(channel)]

    def _telemetry(self, sent: Iterable[Body]) -> Iterable[Step]:
        return (Step("telemetry", _long(body)) for body in sent if body.signal != "metrics")

    async def _pipe(self, db: Database) -> None:
        heard = Heard()
        heard.hear(_with_long_ids(stream(self.name).read_text()).encode())
        heard.end()
        await StreamRecorder(db, heard).attempt()

    def _hooks(self) -> list[dict[str, Any]]:
        lines = _with_long_ids((stream(self.name).parent / "hooks.jsonl").read_text()).splitlines()
        return [line.get("input", line) for line in map(json.loads, lines)]


def _with_long_ids(text: str) -> str:
    for kind in ("toolu", "msg", "req"):
        text = text.replace(f"{kind}_stub", f"{kind}_01ABCDEFGHIJKLMN")
    return text


def _long(body: Body) -> Body:
    if body.is_json:
        return Body(body.signal, body.content_type, _with_long_ids(body.data.decode()).encode())
    kind: Any = ExportTraceServiceRequest if body.signal == "traces" else ExportLogsServiceRequest
    told = json.loads(_with_long_ids(json.dumps(MessageToDict(kind.FromString(body.data)))))
    return Body(body.signal, body.content_type, ParseDict(told, kind()).SerializeToString())
