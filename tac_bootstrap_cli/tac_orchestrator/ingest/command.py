"""Any command as a recorded agent.

The command runs as if nobody looked on. Its input is ours. Its output is copied, byte for byte and as it comes, and where ours
goes to a terminal the command finds a terminal, too. Signals that are sent to us are sent on. Its exit code is ours. What the
store has to do with it happens beside that: a store that is broken, or slow, costs the record and not the command.

The variables that it finds in its environment make what it records, and the commands that it runs like this, our children.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import re
import select
import shlex
import signal
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from tac_orchestrator.database import Database
from tac_orchestrator.errors import NotFound, OrchestratorError
from tac_orchestrator.models import AgentType, storable
from tac_orchestrator.runs import AgentRun
from tac_orchestrator.settings import Settings

_LOG = logging.getLogger("tac_orchestrator")

OUTPUT_KEPT = 16 * 1024
"""Bytes of the output that are recorded: the last ones."""

_PATIENCE_S = 5.0
"""How long the command waits for the store. Usually that is some milliseconds."""

_NOT_RECORDED = "the command is not recorded: %s"

_CHUNK = 64 * 1024
_COMMAND_SHOWN = 300

_NOT_FOUND, _NOT_STARTED, _SIGNALLED = 127, 126, 128

# What programs send to a terminal to color and move; not what they say.
_TERMINAL_SEQUENCES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)|[@-Z\\^_=>78])")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    exit_code: int
    duration_s: float
    signal_name: str | None = None
    output: str = ""
    output_size: int = 0

    @property
    def reason(self) -> str | None:
        """Why it counts as failed; None if it does not."""
        if self.signal_name is not None:
            return f"signal {self.signal_name}"
        return f"exit code {self.exit_code}" if self.exit_code else None


async def run_command(
    command: Sequence[str],
    *,
    agent: str,
    agent_type: AgentType = "utility",
    session_id: str | None = None,
    target: str | Path | None = None,
) -> int:
    """Run a command, whose name comes first, as an agent of this kind. Returns its exit code, as a shell tells it.

    Takes over the signals of this process, which has nothing else to do and ends afterwards. Call it on the main thread.
    """
    with _Signals() as signals:
        record = _Record(command, agent, agent_type, session_id, target)
        recording = asyncio.create_task(record.keep())
        environment = await record.environment(recording)
        ended = await _run(command, {**os.environ, **environment}, signals)
        record.ended.set_result(ended)
        await recording
    return ended.exit_code


class _Record:
    """What the store is told, beside the command."""

    def __init__(
        self, command: Sequence[str], agent: str, agent_type: AgentType, session_id: str | None, target: str | Path | None
    ) -> None:
        self._command = [storable(part) for part in command]
        self._folder = _current_folder()
        self._agent = agent
        self._agent_type: AgentType = agent_type
        self._session_id = session_id
        self._target = target
        loop = asyncio.get_running_loop()
        self._began: asyncio.Future[Mapping[str, str]] = loop.create_future()
        self.ended: asyncio.Future[Ended] = loop.create_future()

    async def keep(self) -> None:
        """The whole record. Never raises what the store is to blame for."""
        try:
            settings = Settings.from_environment()
            settings = settings if self._target is None else settings.at(self._target)
            alone = replace(settings, session_id=None, parent_agent_id=None)
            async with Database(alone, forgiving=True) as database:
                await self._attempt(database, settings)
        except (OrchestratorError, OSError) as error:
            _LOG.warning(_NOT_RECORDED, error)

    async def _attempt(self, database: Database, settings: Settings) -> None:
        """What goes wrong is told before the store is closed, which has the same trouble and does not know what it costs."""
        try:
            await self._keep_in(database, settings)
        except OrchestratorError as error:
            _LOG.warning(_NOT_RECORDED, error)

    async def environment(self, recording: asyncio.Task[None]) -> Mapping[str, str]:
        """Where the command's own records belong; empty if the store does not answer in time."""
        await asyncio.wait((self._began, recording), timeout=_PATIENCE_S, return_when=asyncio.FIRST_COMPLETED)
        if self._began.done():
            return self._began.result()
        if not recording.done():
            _LOG.warning("the store has not answered for %g s; the command does not wait for it", _PATIENCE_S)
        return {}

    async def _keep_in(self, database: Database, settings: Settings) -> None:
        await database.agents.recorder.hold_lease()  # raises what refused the store, in words that need not be told twice
        kind = await database.orchestrator_agents.register(self._agent, agent_type=self._agent_type)
        session_id = self._session_id or settings.session_id
        parent = settings.parent_agent_id if session_id == settings.session_id else None
        run = database.agents.run(
            kind,
            session_id=session_id,
            parent_agent_id=parent if await _is_stored(database, parent) else None,
            context={"command": self._command, "folder": self._folder},
        )
        async with run as agent:
            stored = await _is_stored(database, agent.id)
            self._began.set_result(_variables(database, agent) if stored else {})
            await self._note_end(agent, await self.ended)

    async def _note_end(self, agent: AgentRun, ended: Ended) -> None:
        await agent.log(
            "tool_call",
            f"{shlex.join(self._command)[:_COMMAND_SHOWN]}: {ended.reason or 'done'}",
            log_level="ERROR" if ended.reason else "INFO",
            details=self._details(ended),
        )
        if ended.reason is not None:
            await agent.fail(ended.reason)

    def _details(self, ended: Ended) -> dict[str, Any]:
        return {
            "command": self._command,
            "folder": self._folder,
            "exit_code": ended.exit_code,
            "signal": ended.signal_name,
            "duration_ms": round(ended.duration_s * 1000),
            "output": ended.output,
            "output_bytes": ended.output_size,
        }


async def _is_stored(database: Database, agent_id: str | None) -> bool:
    """A child that names a parent which is not there could not be stored."""
    try:
        return agent_id is not None and bool(await database.agents.get(agent_id))
    except NotFound:
        return False


def _variables(database: Database, agent: AgentRun) -> dict[str, str]:
    return {
        **database.settings.variables,
        "TAC_ORCHESTRATOR_SESSION_ID": agent.session_id,
        "TAC_ORCHESTRATOR_AGENT_ID": agent.id,
    }


def _current_folder() -> str | None:
    try:
        return storable(str(Path.cwd()))
    except OSError:  # it has been removed
        return None


async def _run(command: Sequence[str], environment: Mapping[str, str], signals: _Signals) -> Ended:
    began, tail = time.monotonic(), _Tail()
    with _Outputs(tail) as outputs:
        try:
            signals.start(command, environment, outputs)
        except (OSError, ValueError) as error:  # a ValueError for an empty name
            return _not_started(command[0], error)
        outputs.begin()
        code = await asyncio.to_thread(signals.wait)
        await asyncio.to_thread(outputs.finish)
    duration_s = time.monotonic() - began
    if code < 0:
        return Ended(_SIGNALLED - code, duration_s, _signal_name(-code), tail.text(), tail.size)
    return Ended(code, duration_s, None, tail.text(), tail.size)


def _not_started(name: str, error: OSError | ValueError) -> Ended:
    missing = isinstance(error, (FileNotFoundError, ValueError))
    _LOG.error("%s: %s", name, "command not found" if missing and "/" not in name else getattr(error, "strerror", error))
    return Ended(_NOT_FOUND if missing else _NOT_STARTED, 0.0)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


class _Signals:
    """What is sent to us, the command gets. What is typed at the terminal, Ctrl-C for one, it gets from there."""

    _SENT_ON = frozenset(
        (
            signal.SIGINT,
            signal.SIGQUIT,
            signal.SIGTERM,
            signal.SIGHUP,
            signal.SIGUSR1,
            signal.SIGUSR2,
            signal.SIGWINCH,
        )
    )
    _FROM_KERNEL = 0x80

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process_id: int | None = None
        self._exit_code: int | None = None
        self._outputs: _Outputs | None = None
        self._before: set[int] = set()

    def __enter__(self) -> Self:
        """Threads that are started from now on leave the signals to ours."""
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if ignored, exit codes would be lost
        self._before = {int(number) for number in signal.pthread_sigmask(signal.SIG_BLOCK, self._SENT_ON)}
        threading.Thread(target=self._send_on, name="tac-orchestrator-signals", daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Nothing: this process ends."""

    def start(self, command: Sequence[str], environment: Mapping[str, str], outputs: _Outputs) -> None:
        """Raises OSError, as a shell would report it."""
        with self._lock:
            self._outputs = outputs
            self._process_id = os.posix_spawnp(
                command[0],
                list(command),
                environment,
                file_actions=outputs.actions(),
                setsigmask=self._before,
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),  # Python ignores these
            )

    def wait(self) -> int:
        """Blocks until the command has ended. Returns its exit code, or less than 0 for a signal."""
        assert self._process_id is not None
        if hasattr(os, "waitid"):  # so that nobody else has got its number while we might still send it a signal
            os.waitid(os.P_PID, self._process_id, os.WEXITED | os.WNOWAIT)
        with self._lock:
            code = os.waitstatus_to_exitcode(os.waitpid(self._process_id, 0)[1])
            self._process_id = None
            self._exit_code = code if code >= 0 else _SIGNALLED - code
        return code

    def _send_on(self) -> None:
        while True:
            number, typed = self._next()
            with self._lock:
                if number == signal.SIGWINCH:
                    typed = False  # it comes from the terminal, too, but perhaps before the size could be handed on
                    if self._outputs is not None:
                        self._outputs.resize()
                if self._process_id is not None:
                    if not typed:
                        os.kill(self._process_id, number)
                elif number != signal.SIGWINCH:
                    os._exit(_SIGNALLED + number if self._exit_code is None else self._exit_code)

    def _next(self) -> tuple[int, bool]:
        """A signal, and whether it was typed: then the terminal has sent it to the command as well."""
        if hasattr(signal, "sigwaitinfo"):
            found = signal.sigwaitinfo(self._SENT_ON)
            return found.si_signo, found.si_code == self._FROM_KERNEL
        number = signal.sigwait(self._SENT_ON)
        return number, number in {signal.SIGINT, signal.SIGQUIT} and _is_in_foreground()


def _is_in_foreground() -> bool:
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)


class _Outputs:
    """Standard output and error. Where both go to the same place they are one stream, so that what comes first stays first."""

    def __init__(self, tail: _Tail) -> None:
        self._over, self._end = os.pipe()
        groups = [(1, 2)] if _go_together() else [(1,), (2,)]
        self._streams = [_Stream(group, self._over, tail) for group in groups]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for stream in self._streams:
            stream.close()
        os.close(self._over)
        self._close_end()

    def actions(self) -> list[tuple[int, int, int]]:
        """What gives the command its side."""
        return [(os.POSIX_SPAWN_DUP2, stream.inner, number) for stream in self._streams for number in stream.numbers]

    def begin(self) -> None:
        for stream in self._streams:
            stream.begin()

    def finish(self) -> None:
        """Blocks until everything has been copied that the command has written."""
        self._close_end()
        for stream in self._streams:
            stream.join()

    def resize(self) -> None:
        for stream in self._streams:
            stream.resize()

    def _close_end(self) -> None:
        if self._end >= 0:
            os.close(self._end)
            self._end = -1


def _go_together() -> bool:
    try:
        return os.path.sameopenfile(1, 2)
    except OSError:
        return False


class _Stream:
    """One output: what the command writes to `inner` is copied to the first of `numbers`, which are ours."""

    def __init__(self, numbers: tuple[int, ...], over: int, tail: _Tail) -> None:
        self.numbers = numbers
        self._over = over
        self._tail = tail
        self._is_terminal = os.isatty(numbers[0])
        self._source, self.inner = os.openpty() if self._is_terminal else os.pipe()
        self._thread = threading.Thread(target=self._copy, name="tac-orchestrator-output", daemon=True)
        if self._is_terminal:
            self.resize()
            _leave_output_as_it_is(self.inner)

    def begin(self) -> None:
        os.close(self.inner)
        self.inner = -1
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def close(self) -> None:
        for descriptor in (self._source, self.inner):
            if descriptor >= 0:
                os.close(descriptor)

    def resize(self) -> None:
        """As large as the terminal that it stands for."""
        if self._is_terminal and self._source >= 0:
            with suppress(OSError):
                size = fcntl.ioctl(self.numbers[0], termios.TIOCGWINSZ, bytes(8))
                fcntl.ioctl(self._source, termios.TIOCSWINSZ, size)

    def _copy(self) -> None:
        """Until all who could write have gone; or the command has, and what it wrote has been read."""
        poller = select.poll()
        poller.register(self._source, select.POLLIN)
        poller.register(self._over, select.POLLIN)
        is_over = False
        while True:
            ready = {descriptor for descriptor, _ in poller.poll(0 if is_over else None)}
            if self._source in ready:
                data = _read(self._source)
                self._tail.add(data)
                if not data or not _write(self.numbers[0], data):
                    break
            elif is_over:
                _leave_to_another(self._source, self.numbers[0])
                break
            is_over = is_over or self._over in ready
        source, self._source = self._source, -1
        os.close(source)


def _leave_output_as_it_is(terminal: int) -> None:
    """Line ends are changed by the terminal that all of it goes to in the end."""
    modes = termios.tcgetattr(terminal)
    modes[1] &= ~termios.OPOST
    termios.tcsetattr(terminal, termios.TCSANOW, modes)


def _read(source: int) -> bytes:
    """Empty at the end."""
    try:
        return os.read(source, _CHUNK)
    except OSError as error:
        if error.errno == errno.EIO:  # how a terminal says that nobody is there any more
            return b""
        raise


def _write(sink: int, data: bytes) -> bool:
    """False if nobody reads it any more."""
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(sink, rest) :]
        except BlockingIOError:
            waiting = select.poll()
            waiting.register(sink, select.POLLOUT)
            waiting.poll()
        except OSError:
            return False
    return True


def _leave_to_another(source: int, sink: int) -> None:
    """The command has left something running that may still write. We do not wait for it, and it does not lose its output."""
    copied = [(os.POSIX_SPAWN_DUP2, source, 0), (os.POSIX_SPAWN_DUP2, sink, 1)]
    silent = (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)
    with suppress(OSError):
        os.posix_spawnp("cat", ["cat"], os.environ, file_actions=[*copied, silent], setsigmask=(), setsigdef=(signal.SIGPIPE,))


class _Tail:
    """The last part of what was written."""

    def __init__(self) -> None:
        self.size = 0
        self._kept = bytearray()
        self._lock = threading.Lock()

    def add(self, data: bytes) -> None:
        with self._lock:
            self.size += len(data)
            self._kept += data
            if len(self._kept) > 2 * OUTPUT_KEPT + _CHUNK:
                del self._kept[:-OUTPUT_KEPT]

    def text(self) -> str:
        """From the beginning of a line, and without what only a terminal understands."""
        kept = bytes(self._kept[-OUTPUT_KEPT:])
        if len(kept) < self.size:
            kept = kept[kept.find(b"\n") + 1 :]
        return storable(_TERMINAL_SEQUENCES.sub(b"", kept).decode("utf-8", "replace").replace("\r\n", "\n"))
