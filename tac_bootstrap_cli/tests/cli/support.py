"""Calls the command line in this process, as its user would."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from tac_orchestrator.cli.main import main
from tac_orchestrator.hook import spool_of
from tac_orchestrator.settings import Settings

PROGRAM = str(Path(sys.executable).with_name("tac-orch"))


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def plain(self) -> str:
        """Without colors."""
        return re.sub(r"\x1b\[[\d;]*m", "", self.out)

    @property
    def rows(self) -> list[list[str]]:
        """The words of each line but the first."""
        return [line.split() for line in self.out.splitlines()[1:]]


class _Stream(TextIOWrapper):
    """Standard output, which may say that it is a terminal."""

    is_terminal = False

    def isatty(self) -> bool:
        return self.is_terminal


class Caller:
    """Calls the command line as its user does; on a terminal if `columns` are given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str, columns: int | None = None, encoding: str = "utf-8") -> Result:
        out, err = _Stream(BytesIO(), encoding=encoding), _Stream(BytesIO(), encoding="utf-8")
        if columns is not None:
            self._monkeypatch.setenv("COLUMNS", str(columns))
            out.is_terminal = True
        with redirect_stdout(out), redirect_stderr(err):
            code = _code_of(arguments)
        return Result(code, _text(out, encoding), _text(err, "utf-8"))


def spool_of_hooks() -> Path:
    """Where hooks write down what the store has still to take in, in a folder that is there."""
    spool = Path(spool_of(str(Settings.from_environment().place)))
    spool.parent.mkdir(parents=True, exist_ok=True)
    return spool


def has_open(process: subprocess.Popen[Any], target: Path | str) -> bool:
    """Whether the store is open in this process."""
    with suppress(psutil.NoSuchProcess):
        seen = psutil.Process(process.pid)
        if isinstance(target, Path):
            return any(file.path == f"{target}-shm" for file in seen.open_files())
        return any(one.raddr and one.raddr.port == urlsplit(target).port for one in seen.net_connections("tcp"))
    return False


def _code_of(arguments: tuple[str, ...]) -> int:
    handlers, show = logging.getLogger("tac_orchestrator").handlers, warnings.showwarning
    before = list(handlers)
    try:
        main(arguments)
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        handlers[:], warnings.showwarning = before, show


def _text(stream: TextIOWrapper, encoding: str) -> str:
    stream.flush()
    buffer = stream.buffer
    assert isinstance(buffer, BytesIO)
    return buffer.getvalue().decode(encoding)
