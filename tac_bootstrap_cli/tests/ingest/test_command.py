"""A command that is run as a recorded agent is unchanged for whoever runs it: its output, its signals, its terminal."""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from .support import PROGRAM, arguments, descriptor_of, details, execute, only, python, read_until, start


@pytest.fixture(autouse=True)
def _store(target: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAC_ORCHESTRATOR_DB", str(target))


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
