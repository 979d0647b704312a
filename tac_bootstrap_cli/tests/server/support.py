"""A server of its own process, as its user starts it, and how to ask it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

PROGRAM = str(Path(sys.executable).with_name("tac-orch"))
TOKEN = "a-token-for-tests-only"


@dataclass(frozen=True)
class Server:
    port: int
    ports: list[int]
    link: str
    process_id: int

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, *, token: str | None = TOKEN, **options: Any) -> httpx2.Response:
        headers = dict(options.pop("headers", {}))
        if token is not None:
            headers.setdefault("Authorization", f"Bearer {token}")
        return httpx2.request(method, self.address + path, headers=headers, timeout=30, **options)

    def get(self, path: str, **options: Any) -> httpx2.Response:
        return self.ask("GET", path, **options)

    def answer(self, request: bytes) -> bytes:
        """All of the answer to these bytes, which ask for the connection to be closed."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            return connection.makefile("rb").read()

    def raw(self, request: bytes) -> bytes:
        """The first line of the answer to these bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            connection.sendall(request)
            return connection.makefile("rb").readline()


@contextmanager
def serving(store: Path | str, *arguments: str, environment: Mapping[str, str] | None = None) -> Generator[Server]:
    """Until the block ends. It has to end by itself when it is interrupted."""
    values = {**os.environ, "TAC_ORCHESTRATOR_TOKEN": TOKEN, **(environment or {})}
    command = [PROGRAM, "serve", "--db", str(store), "--port", "0", "--json", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=values) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        line = process.stdout.readline()
        assert line, process.stderr.read()
        told = json.loads(line)
        try:
            yield Server(told["ports"][0], told["ports"], told["link"], process.pid)
        finally:
            process.send_signal(signal.SIGINT)
            errors = process.stderr.read()
        assert (process.wait(20), errors) == (0, "")
