"""A command that is run as a recorded agent: unchanged for whoever runs it, and on record afterwards."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import select
import shlex
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tac_orchestrator import Agent, AgentLog, Database
from tac_orchestrator.engines.sqlite.library import sqlite
from tac_orchestrator.ingest.command import OUTPUT_KEPT

PROGRAM = str(Path(sys.executable).with_name("tac-orch"))
READY = "ready\n"

Exec = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture(autouse=True)
def _store(target: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAC_ORCHESTRATOR_DB", str(target))


def arguments(*command: str, options: tuple[str, ...] = ()) -> list[str]:
    return [PROGRAM, "exec", "--agent", "tester", *options, "--", *command]


def execute(*command: str, options: tuple[str, ...] = (), **more: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(arguments(*command, options=options), capture_output=True, timeout=60, check=False, **more)


def python(code: str) -> tuple[str, str, str]:
    return sys.executable, "-c", code


def start(*command: str, **more: Any) -> subprocess.Popen[bytes]:
    """Runs on. In a session of its own, so that no terminal of the developer's has a part in it."""
    more = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "start_new_session": True, **more}
    return subprocess.Popen(arguments(*command), bufsize=0, **more)


def recorded(target: Path | str) -> list[tuple[Agent, list[AgentLog]]]:
    """All agents, the oldest first, with their tool calls."""

    async def read() -> list[tuple[Agent, list[AgentLog]]]:
        async with Database.open(target, create=False) as db:
            agents = reversed(await db.agents.list())
            return [(agent, await db.agent_logs.list(agent_id=agent.id, log_type="tool_call")) for agent in agents]

    return asyncio.run(read())


def only(target: Path | str) -> tuple[Agent, AgentLog]:
    [(agent, [log])] = recorded(target)
    return agent, log


def details(log: AgentLog) -> dict[str, Any]:
    assert log.details is not None
    return log.details


def read_until(descriptor: int, wanted: bytes) -> bytes:
    """Fails rather than wait for ever."""
    found = b""
    while wanted not in found:
        assert select.select([descriptor], [], [], 20)[0], found
        data = os.read(descriptor, 1000)
        assert data, found
        found += data
    return found


def descriptor_of(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    return process.stdout.fileno()


# What whoever runs it sees


def test_input_output_and_exit_code_are_the_commands_own() -> None:
    code = """
import sys
d = sys.stdin.buffer.read()
sys.stdout.buffer.write(d[::-1])
sys.stderr.buffer.write(b'E' + d)
sys.exit(7)
"""
    everything = bytes(range(256)) * 1000

    done = execute(*python(code), input=everything)

    assert (done.returncode, done.stdout, done.stderr) == (7, everything[::-1], b"E" + everything)


def test_output_comes_at_once() -> None:
    with start(*python("import sys; print('first', flush=True); input(); print('second')"), stdin=subprocess.PIPE) as process:
        assert read_until(descriptor_of(process), b"\n") == b"first\n"
        process.communicate(b"\n", timeout=20)

    assert process.returncode == 0


def test_what_goes_to_one_place_keeps_its_order() -> None:
    code = "import os\nfor i in range(2000): os.write(1, b'o%d\\n' % i); os.write(2, b'e%d\\n' % i)"

    done = subprocess.run(arguments(*python(code)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)

    assert done.stdout.split() == [word for i in range(2000) for word in (b"o%d" % i, b"e%d" % i)]


@pytest.mark.parametrize(
    ("command", "code", "message"),
    [
        (("no-such-command",), 127, "no-such-command: command not found"),
        (("./no/such/file",), 127, "./no/such/file: No such file or directory"),
        (("/",), 126, "/: Permission denied"),
        (("",), 127, ": command not found"),
    ],
)
def test_a_command_that_cannot_start_is_reported_as_a_shell_does(
    target: Path | str, command: tuple[str, ...], code: int, message: str
) -> None:
    done = execute(*command)

    assert (done.returncode, done.stdout, done.stderr.decode()) == (code, b"", f"Error: {message}\n")
    assert only(target)[0].error_message == f"exit code {code}"


def test_a_script_that_the_system_cannot_run_is_no_command(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("echo no first line")
    script.chmod(0o755)

    assert execute(str(script)).returncode == 126


def test_what_has_been_left_running_neither_holds_us_up_nor_loses_its_output(tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)

    process = start("sh", "-c", f"(read line < {shlex.quote(str(go))}; echo late) & echo early")

    assert process.wait(20) == 0
    assert read_until(descriptor_of(process), b"\n") == b"early\n"
    go.write_text("go\n")
    assert read_until(descriptor_of(process), b"\n") == b"late\n"
    process.communicate(timeout=20)


def test_a_reader_who_goes_away_ends_the_command_as_it_would_without_us(target: Path | str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{shlex.join(arguments('yes'))} | head -n 1; echo ${{PIPESTATUS[0]}}"], capture_output=True, check=True
    )

    assert (done.stdout, done.stderr) == (b"y\n141\n", b"")
    assert only(target)[0].error_message == "signal SIGPIPE"


def test_further_files_of_the_caller_reach_the_command(tmp_path: Path) -> None:
    file = tmp_path / "third"

    subprocess.run(["bash", "-c", f"{shlex.join(arguments('bash', '-c', 'echo three >&3'))} 3> {file}"], check=True)

    assert file.read_text() == "three\n"


def test_options_behind_the_command_are_the_commands() -> None:
    done = subprocess.run([PROGRAM, "exec", "--agent", "tester", "echo", "--json", "--agent"], capture_output=True, check=True)

    assert done.stdout == b"--json --agent\n"


# Signals


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2"])
def test_signals_are_sent_on(target: Path | str, name: str) -> None:
    number = signal.Signals[name]
    code = f"""
import signal, sys
signal.signal(signal.{name}, lambda *_: sys.exit(42))
print("ready", flush=True)
while True: signal.pause()
"""
    with start(*python(code)) as process:
        read_until(descriptor_of(process), b"ready")
        process.send_signal(number)

        assert process.wait(20) == 42

    assert only(target)[0].error_message == "exit code 42"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGKILL"])
def test_a_command_that_a_signal_ends_says_which(target: Path | str, name: str) -> None:
    number = signal.Signals[name]
    with start("sh", "-c", f"echo ready; kill -{number.value} $$; exec sleep 60") as process:
        assert process.wait(20) == 128 + number

    agent, log = only(target)
    assert (agent.status, agent.error_message) == ("failed", f"signal {name}")
    assert (details(log)["exit_code"], details(log)["signal"]) == (128 + number, name)


def test_the_commands_own_signals_are_as_they_were() -> None:
    code = """
import signal
print(signal.pthread_sigmask(signal.SIG_BLOCK, ()))
print([signal.getsignal(n) for n in (1, 2, 15, 17)])
"""

    assert execute(*python(code)).stdout == subprocess.run(python(code), capture_output=True, check=True).stdout
    masks = ("grep", "Sig[BI]", "/proc/self/status")
    assert _usual(execute(*masks).stdout) == _usual(subprocess.run(masks, capture_output=True, check=True).stdout)


def _usual(masks: bytes) -> list[int]:
    """The masks without the signals 32 and 33, which are the C library's own."""
    return [int(line.split()[1], 16) & ~(3 << 31) for line in masks.splitlines()]


def test_what_is_ignored_stays_ignored() -> None:
    ignoring = shlex.join(arguments("sh", "-c", "kill -HUP $$; echo alive"))

    done = subprocess.run(["sh", "-c", f"trap '' HUP; {ignoring}"], capture_output=True, check=True)

    assert done.stdout == b"alive\n"


# A terminal


class Terminal:
    """A terminal with a command in it, in whose foreground it is."""

    def __init__(self, *command: str) -> None:
        self.descriptor, side = os.openpty()
        self.resize(31, 77, of=side)
        take_it = lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # noqa: E731
        self.process = subprocess.Popen(
            arguments(*command), stdin=side, stdout=side, stderr=side, start_new_session=True, preexec_fn=take_it
        )
        os.close(side)

    def resize(self, rows: int, columns: int, *, of: int | None = None) -> None:
        fcntl.ioctl(self.descriptor if of is None else of, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_until(self, wanted: bytes) -> bytes:
        return read_until(self.descriptor, wanted)

    def type(self, text: bytes) -> None:
        os.write(self.descriptor, text)

    def end(self) -> int:
        code = self.process.wait(20)
        os.close(self.descriptor)
        return code


def test_on_a_terminal_the_command_has_a_terminal(target: Path | str) -> None:
    terminal = Terminal(
        "sh", "-c", "test -t 0 && test -t 1 && test -t 2 && stty size <&1 && tty >/dev/null && printf 'a\\nb\\n'"
    )

    assert terminal.read_until(b"b\r\n").endswith(b"31 77\r\na\r\nb\r\n")
    assert terminal.end() == 0
    assert details(only(target)[1])["output"].endswith("31 77\na\nb\n")


def test_a_new_size_reaches_the_command() -> None:
    code = """
import os, signal
signal.signal(signal.SIGWINCH, lambda *_: print("now", *os.get_terminal_size(1), flush=True))
print("ready", flush=True)
while os.get_terminal_size(1).columns != 99: signal.pause()
"""
    terminal = Terminal(*python(code))
    terminal.read_until(b"ready\r\n")

    terminal.resize(50, 99)

    terminal.read_until(b"now 99 50")
    assert terminal.end() == 0


def test_ctrl_c_reaches_the_command_once(target: Path | str) -> None:
    code = """
import signal
count = 0
def note(*_):
    global count
    count += 1
signal.signal(signal.SIGINT, note)
signal.signal(signal.SIGUSR1, note)
print("ready", flush=True)
while not count:
    signal.sigtimedwait([signal.SIGTERM], 0.01)
signal.sigtimedwait([signal.SIGTERM], 0.3)
print("count", count, flush=True)
"""
    terminal = Terminal(*python(code))
    terminal.read_until(b"ready\r\n")

    terminal.type(b"\x03")

    assert terminal.read_until(b"\r\n") == b"^Ccount 1\r\n"
    assert terminal.end() == 0


def test_an_interrupt_that_is_not_typed_reaches_a_command_on_a_terminal(target: Path | str) -> None:
    terminal = Terminal("sh", "-c", "echo ready; exec sleep 60")
    terminal.read_until(b"ready\r\n")

    terminal.process.send_signal(signal.SIGINT)

    assert terminal.end() == 130
    assert only(target)[0].error_message == "signal SIGINT"


# What is on record


def test_a_command_that_went_well_is_a_completed_agent(target: Path | str, tmp_path: Path) -> None:
    done = execute("sh", "-c", "echo hello; echo world >&2", cwd=tmp_path, options=("--type", "tester", "--session", "issue-7"))

    agent, log = only(target)
    found = details(log)
    assert done.returncode == 0
    assert (agent.status, agent.error_message, agent.session_id) == ("completed", None, "issue-7")
    assert agent.context == {"command": ["sh", "-c", "echo hello; echo world >&2"], "folder": str(tmp_path)}
    assert (log.log_level, log.message) == ("INFO", "sh -c 'echo hello; echo world >&2': done")
    assert (found["command"], found["folder"]) == (agent.context["command"], agent.context["folder"])
    assert (found["exit_code"], found["signal"], found["output_bytes"]) == (0, None, 12)
    assert sorted(found["output"].split()) == ["hello", "world"]
    assert found["duration_ms"] >= 0


def test_a_command_that_failed_is_a_failed_agent(target: Path | str) -> None:
    execute("sh", "-c", "exit 3")

    agent, log = only(target)
    assert (agent.status, agent.error_message) == ("failed", "exit code 3")
    assert (log.log_level, log.message, details(log)["exit_code"]) == ("ERROR", "sh -c 'exit 3': exit code 3", 3)


def test_only_the_last_part_of_the_output_is_kept(target: Path | str) -> None:
    done = execute("seq", "100000")

    kept = details(only(target)[1])
    assert len(done.stdout) == kept["output_bytes"] == 588895
    assert OUTPUT_KEPT - 10 < len(kept["output"]) <= OUTPUT_KEPT
    assert done.stdout.decode().endswith("\n" + kept["output"])


def test_the_output_is_kept_as_text(target: Path | str) -> None:
    execute("printf", r"\033[1;31mred\033[0m \033]0;title\007 caf\303\251 \377 \000 a\r\nb\033[K\n")

    assert details(only(target)[1])["output"] == "red  café � ␀ a\nb\n"


def test_secrets_stay_out(target: Path | str) -> None:
    secret = "ghp_" + "a1B2" * 9

    done = execute("echo", secret)

    assert done.stdout.decode() == f"{secret}\n"
    agent, log = only(target)
    assert secret not in json.dumps([agent.context, log.message, log.details])


def test_bytes_that_are_no_text_can_be_arguments(target: Path | str) -> None:
    done = execute("printf", "%s", os.fsdecode(b"\xff\xfe"))

    assert done.stdout == b"\xff\xfe"
    assert only(target)[0].status == "completed"


def test_commands_within_commands_are_its_children(target: Path | str) -> None:
    inner = shlex.join(arguments("true"))

    execute("sh", "-c", f"{inner}; {inner}", options=("--session", "issue-7"))

    (outer, _), (first, _), (second, _) = recorded(target)
    assert [agent.session_id for agent in (outer, first, second)] == ["issue-7"] * 3
    assert [agent.parent_agent_id for agent in (outer, first, second)] == [None, outer.id, outer.id]


def test_what_the_command_records_itself_is_below_it(path: Path, tmp_path: Path) -> None:
    code = """
import asyncio
from tac_orchestrator import Database
async def main():
    async with Database.open() as db:
        kind = await db.orchestrator_agents.register("planner", agent_type="planner")
        async with db.agents.run(kind): pass
asyncio.run(main())
"""
    execute(*python(code), cwd=tmp_path, options=("--db", "here.db"))

    (outer, _), (inner, _) = recorded(tmp_path / "here.db")
    assert (inner.session_id, inner.parent_agent_id) == (outer.session_id, outer.id)
    assert not path.exists()


def test_a_session_of_its_own_has_no_parent(target: Path | str) -> None:
    inner = shlex.join(arguments("true", options=("--session", "other")))

    execute("sh", "-c", inner)

    (outer, _), (other, _) = recorded(target)
    assert (other.session_id, other.parent_agent_id) == ("other", None)
    assert outer.session_id != "other"


@pytest.mark.parametrize("parent", ["019aa2f4-7b1c-7aaa-8000-000000000000", "nonsense"])
def test_a_parent_that_is_not_in_this_store_is_left_out(
    target: Path | str, parent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAC_ORCHESTRATOR_SESSION_ID", "issue-7")
    monkeypatch.setenv("TAC_ORCHESTRATOR_AGENT_ID", parent)

    assert execute("true").stderr == b""

    agent, _ = only(target)
    assert (agent.session_id, agent.parent_agent_id) == ("issue-7", None)


def test_while_it_runs_the_agent_does(target: Path | str) -> None:
    with start("sh", "-c", "echo ready; read line", stdin=subprocess.PIPE) as process:
        read_until(descriptor_of(process), b"ready")
        [(agent, logs)] = recorded(target)
        process.communicate(b"\n", timeout=20)

    assert (agent.status, logs) == ("executing", [])
    assert recorded(target)[0][0].status == "completed"


# A store in trouble


def _make_foreign(path: Path) -> None:
    connection = sqlite.connect(path)
    connection.execute("CREATE TABLE somebody_elses (id)")
    connection.close()


def _make_damaged(path: Path) -> None:
    path.write_bytes(b"not a database at all, " * 1000)


def _make_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("spoil", [_make_foreign, _make_damaged, _make_folder])
def test_a_broken_store_does_not_keep_the_command_from_running(path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(path)

    done = execute("sh", "-c", "cat; exit 3", input=b"in")

    assert (done.returncode, done.stdout) == (3, b"in")
    assert done.stderr.startswith(b"Warning: ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TAC_ORCHESTRATOR_DB", "mysql://host/tac"),
        ("TAC_ORCHESTRATOR_DB", ":memory:"),
        ("TAC_ORCHESTRATOR_REDACT", "perhaps"),
    ],
)
def test_a_wrong_setting_does_not_keep_the_command_from_running(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)

    done = execute("sh", "-c", "exit 3")

    assert done.returncode == 3
    assert done.stderr.startswith(b"Warning: the command is not recorded: ")
    assert done.stderr.count(b"\n") == 1


def test_a_folder_that_has_gone_does_not_keep_the_command_from_running(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()

    done = subprocess.run(
        ["sh", "-c", f"cd {gone}; rmdir {gone}; {shlex.join(arguments('echo', 'hi'))}"], capture_output=True, check=True
    )

    assert done.stdout == b"hi\n"


def test_a_store_that_is_held_by_another_holds_up_nobody_for_long(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    execute("true")
    monkeypatch.setenv("TAC_ORCHESTRATOR_BUSY_TIMEOUT", "0.5")
    holder = sqlite.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")

    done = execute("sh", "-c", "echo ran; exit 3")

    holder.close()
    assert (done.returncode, done.stdout) == (3, b"ran\n")
    assert done.stderr.decode() == f"Warning: the command is not recorded: {path} is held by another process.\n"
    assert len(recorded(path)) == 1


def test_a_store_that_cannot_be_written_any_more_costs_the_end_only(path: Path) -> None:
    with start("sh", "-c", "echo ready; read line; exit 3", stdin=subprocess.PIPE) as process:
        read_until(descriptor_of(process), b"ready")
        connection = sqlite.connect(path)
        connection.execute("DROP TABLE agent_logs")
        connection.close()
        _, err = process.communicate(b"\n", timeout=20)

    assert process.returncode == 3
    assert b"Warning: " in err
