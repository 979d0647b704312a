"""A disk that can be watched and that can fail, for the processes of a test; see disk.c."""

from __future__ import annotations

import os
import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_HEAD = struct.Struct("=4Q")
_SECTOR = 512


def compiled_disk(folder: Path) -> Path:
    """What the environment variable LD_PRELOAD needs."""
    return compiled(Path(__file__).with_name("disk.c"), folder)


def compiled(source: Path, folder: Path) -> Path:
    compiler = shutil.which("cc")
    command = [compiler] if compiler else [sys.executable, "-m", "ziglang", "cc"]
    library = folder / f"{source.stem}.so"
    subprocess.run([*command, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, source, "-ldl"], check=True)
    return library


def environment(library: Path, path: Path, **settings: object) -> dict[str, str]:
    """That of a process whose writes to this store and the files beside it are watched."""
    disk = {f"DISK_{name.upper()}": str(value) for name, value in settings.items()}
    return {**os.environ, "LD_PRELOAD": str(library), "DISK_PATH": str(path), **disk}


class Event(NamedTuple):
    """`W`rite, `S`ync, `T`runcate or `U`nlink."""

    operation: str
    file: str
    offset: int
    data: bytes


def events(trace: Path) -> Iterator[Event]:
    content = trace.read_bytes()
    at = 0
    while at < len(content):
        operation, path_length, length, offset = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        path, at = content[at : at + path_length].decode(), at + path_length
        yield Event(chr(operation), Path(path).name, offset, content[at : at + length])
        at += length


@dataclass
class Disk:
    """What is on it for certain, and what has been written since the last sync of each file."""

    files: dict[str, bytearray] = field(default_factory=dict[str, bytearray])
    unsynced: dict[str, list[Event]] = field(default_factory=dict[str, list[Event]])

    def see(self, event: Event) -> None:
        if event.operation == "U":
            self.files.pop(event.file, None)
            self.unsynced.pop(event.file, None)
        elif event.operation == "S":
            for earlier in self.unsynced.pop(event.file, []):
                _apply(self.files.setdefault(event.file, bytearray()), earlier)
        else:
            self.unsynced.setdefault(event.file, []).append(event)

    def after_power_loss(self, folder: Path, chance: random.Random) -> None:
        """Puts into the folder what may be left: of what was not synced, anything, and of a write, any of its sectors."""
        for name in self.files.keys() | self.unsynced.keys():
            content = bytearray(self.files.get(name, b""))
            for event in self.unsynced.get(name, []):
                if chance.random() < 0.5:
                    _apply(content, _torn(event, chance) if chance.random() < 0.3 else event)
            (folder / name).write_bytes(content)


def _torn(event: Event, chance: random.Random) -> Event:
    sectors = len(event.data) // _SECTOR
    return event._replace(data=event.data[: _SECTOR * chance.randrange(sectors)]) if sectors else event


def _apply(content: bytearray, event: Event) -> None:
    if event.operation == "T":
        del content[event.offset :]
    content.extend(bytes(max(0, event.offset - len(content))))
    if event.operation == "W":
        content[event.offset : event.offset + len(event.data)] = event.data
