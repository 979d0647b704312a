from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import cast

import click
import pytest

from tac_orchestrator import DatabaseBusy, DatabaseUnavailable, InvalidRecord, InvalidSetting, NotFound, SchemaTooNew
from tac_orchestrator.cli.failures import EXIT_CODES, report, wants_json
from tac_orchestrator.cli.main import COMMANDS, tac_orch
from tac_orchestrator.cli.options import Command, Group
from tac_orchestrator.version import VERSION

from .support import PROGRAM, Caller, has_open

_SLOW = ("pydantic", "aiosqlite", "sqlite3", "pysqlite3", "rich", "orjson", "asyncio", "tac_orchestrator.database")


def found(words: str) -> Command | Group:
    """`prune`, or `db check`."""
    name, _, rest = words.partition(" ")
    command = tac_orch.get_command(click.Context(tac_orch), name)
    if rest:
        assert isinstance(command, Group)
        command = command.commands[rest]
    assert isinstance(command, Command | Group)
    return command


GROUPS = [name for name in COMMANDS if isinstance(found(name), Group)]
MEMBERS = [f"{name} {member}" for name in GROUPS for member in cast("Group", found(name)).commands]
LEAVES = [*(name for name in COMMANDS if name not in GROUPS), *MEMBERS]


def test_the_groups_are_known() -> None:
    assert GROUPS == ["import", "ingest", "db"]


def test_help_imports_neither_the_store_nor_the_commands() -> None:
    code = "import sys; from tac_orchestrator.cli.main import main\ntry: main(['--help'])\nfinally: print(*sys.modules)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    modules = set(done.stdout.splitlines()[-1].split())
    assert "tac_orchestrator.cli.main" in modules
    assert not modules & {*_SLOW, *(f"tac_orchestrator.cli.{place.home.partition(':')[0]}" for place in COMMANDS.values())}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_of_itself(name: str) -> None:
    help = found(name).help

    assert help is not None
    assert help.splitlines()[0] == COMMANDS[name].help
    assert found(name).name == name


@pytest.mark.parametrize("name", [*COMMANDS, *MEMBERS])
def test_help_ends_with_examples_that_are_understood(name: str) -> None:
    command = found(name)
    context = click.Context(tac_orch, info_name="tac-orch")

    lines = command.get_help(click.Context(command, parent=context, info_name=name)).splitlines()

    assert command.examples
    assert lines[-len(command.examples) - 1 :] == ["Examples:", *(f"  {example}" for example in command.examples)]
    for example in command.examples:
        ours = next(part for part in example.split(" | ") if part.startswith("tac-orch"))
        words = shlex.split(ours.partition(" < ")[0].partition(" > ")[0], comments=True)
        length = len(name.split()) + 1
        assert words[:length] == ["tac-orch", *name.split()]
        command.make_context(name, words[length:], parent=context)


@pytest.mark.parametrize("name", LEAVES)
def test_every_command_speaks_json_and_takes_a_store(name: str) -> None:
    assert {"as_json", "target"} <= {parameter.name for parameter in found(name).params}


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_alone_says_what_it_holds(call: Caller, name: str) -> None:
    result = call(name)

    assert (result.code, result.err) == (0, "")
    assert result.out == call(name, "--help").out
    assert all(f"\n  {member} " in result.out for member in cast("Group", found(name)).commands)


def test_the_store_may_be_named_before_a_command_of_a_group(call: Caller, store: Path | str) -> None:
    assert call("db", "--db", "elsewhere.db", "path").out.strip().endswith("elsewhere.db")
    assert call("db", "--db", "elsewhere.db", "path", "--db", str(store)).out.strip() == str(store)
    assert call("db", "nonsense").code == 2


def test_without_a_command_there_is_help(call: Caller) -> None:
    result = call()

    assert result.code == 0
    assert result.out == call("--help").out
    assert all(f"\n  {name} " in result.out for name in COMMANDS)
    assert all(f"\n  {code} " in result.out for code in EXIT_CODES)


def test_the_version_is_told(call: Caller) -> None:
    assert call("--version").out == f"tac-orch, version {VERSION}\n"


def test_the_store_may_be_named_before_or_behind_the_command(
    call: Caller, store: Path | str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAC_ORCHESTRATOR_DB", str(tmp_path / "other.db"))

    assert call("--db", str(store), "sessions", "--json").json == call("sessions", "--db", str(store), "--json").json != []
    assert call("--db", "elsewhere.db", "sessions", "--db", str(store)).code == 0
    assert call("sessions").code == 4
    assert call("sessions", "--db", "").code == 2


@pytest.mark.parametrize(
    ("arguments", "code", "kind"),
    [
        (("nonsense",), 2, "NoSuchCommand"),
        (("logs", "--nonsense"), 2, "NoSuchOption"),
        (("logs", "--since", "soon"), 2, "BadParameter"),
        (("logs", "--limit", "0"), 2, "BadParameter"),
        (("show", "nobody"), 3, "NotFound"),
        (("sessions", "--before", "nobody"), 3, "NotFound"),
        (("sessions", "--db", "/dev/null/no.db"), 4, "DatabaseUnavailable"),
        (("query", "SELEC 1"), 5, "InvalidRecord"),
        (("search", "..."), 5, "InvalidRecord"),
    ],
)
def test_errors_have_a_code_and_say_what_to_try(
    call: Caller, store: Path | str, arguments: tuple[str, ...], code: int, kind: str
) -> None:
    people, programs = call(*arguments), call(*arguments, "--json")

    told = json.loads(programs.err)
    assert (people.code, programs.code) == (code, code)
    assert (people.out, programs.out) == ("", "")
    assert people.err.splitlines()[0] == f"Error: {told['error']}"
    assert (told["kind"], told["exit_code"]) == (kind, code)
    assert people.err.splitlines()[1:] == ([f"Try: {told['hint']}"] if told["hint"] else [])


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (NotFound("agent", "x"), 3),
        (SchemaTooNew("x.db", found=99, supported=1), 4),
        (DatabaseBusy("busy"), 4),
        (DatabaseUnavailable("x.db", "gone"), 4),
        (InvalidRecord("agent", "no"), 5),
        (InvalidSetting("TAC_ORCHESTRATOR_REDACT", "x", "1 or 0"), 2),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_kind_of_error_has_its_code(error: Exception, code: int) -> None:
    assert report(error, as_json=False) == code  # type: ignore[arg-type]


def test_what_errors_quote_is_harmless(call: Caller, store: Path | str) -> None:
    result = call("show", "\x1b[2J\u202e")

    assert result.err.startswith(r"Error: There is no session, agent, prompt or log '\x1b[2J\u202e'.")


def test_json_behind_two_dashes_is_not_ours() -> None:
    assert wants_json(["exec", "--agent", "a", "--json", "--", "ls"])
    assert not wants_json(["exec", "--agent", "a", "--", "ls", "--json"])


def test_a_setting_that_makes_no_sense_is_an_error_of_use(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAC_ORCHESTRATOR_REDACT", "perhaps")

    assert call("sessions").code == 2


@pytest.mark.parametrize("name", ["sessions", "show x", "prompts", "logs", "tail", "tail -f", "cost", "search x", "query x"])
def test_reading_makes_no_store(call: Caller, path: Path, name: str) -> None:
    result = call(*name.split())

    assert result.code == 4
    assert "there is no database yet" in result.err
    assert "Try: " in result.err
    assert not path.exists()


def test_a_reader_who_has_seen_enough_is_no_error(store: Path | str) -> None:
    many = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000) SELECT i FROM n"
    script = f'"$0" query "{many}" | head -n 1; echo "${{PIPESTATUS[0]}}"'

    done = subprocess.run(["bash", "-c", script, PROGRAM], capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("i\n0\n", "")


def test_a_full_disk_is_an_error(store: Path | str) -> None:
    done = subprocess.run(["bash", "-c", '"$0" status > /dev/full', PROGRAM], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (1, "Error: the output could not be written: No space left on device\n")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_closed_stream_harms_nothing(store: Path | str, path: Path, closed: str) -> None:
    before = path.read_bytes()

    done = subprocess.run(["bash", "-c", f'"$0" sessions {closed}', PROGRAM], capture_output=True, text=True, check=False)

    assert done.returncode == 0
    assert ("issue-42" in done.stdout) is (">&- " not in f"{closed} ".replace("2>&-", ""))
    assert path.read_bytes() == before


def test_an_interrupt_ends_without_a_word(store: Path | str) -> None:
    slow = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"
    with subprocess.Popen([PROGRAM, "query", slow], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            while not has_open(process, store):
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()

    assert (process.returncode, out, err.strip()) == (130, "", "")


@pytest.mark.parametrize(
    ("number", "arguments", "code"),
    [
        (signal.SIGTERM, ("tail", "-f"), -signal.SIGTERM),
        (signal.SIGHUP, ("tail", "-f"), -signal.SIGHUP),
        (signal.SIGHUP, ("serve", "--port", "0", "--json"), 0),
    ],
)
def test_who_is_ended_ends_without_a_word(
    store: Path | str, number: signal.Signals, arguments: tuple[str, ...], code: int
) -> None:
    command = [PROGRAM, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline()
            assert has_open(process, store)
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()

    assert (process.returncode, err) == (code, "")


def test_who_is_ended_tidies_up_first_and_outlives_a_terminal_if_told_to() -> None:
    with subprocess.Popen(
        ["nohup", sys.executable, "-c", SIGNALLED], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "waiting\n"
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()

    assert (process.returncode, out) == (128 + signal.SIGTERM, "tidied\n")


SIGNALLED = """
import asyncio
from tac_orchestrator.cli.interrupts import run

async def wait():
    print("waiting", flush=True)
    try:
        await asyncio.sleep(1000)
    finally:
        print("tidied", flush=True)

run(wait())
"""


def test_an_interrupt_that_another_thread_gets_ends_what_waits() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "waiting\n"
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()

    assert err.rstrip().endswith("KeyboardInterrupt")


WAITING = """
import asyncio, signal, threading, time
from tac_orchestrator.cli.interrupts import run

async def wait():
    print("waiting", flush=True)
    await asyncio.sleep(1000)

threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
run(wait())
"""


@pytest.mark.filterwarnings("always")
def test_a_warning_of_the_library_is_told_in_the_same_way(
    call: Caller, store: Path | str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tac_orchestrator.engines.sqlite import files

    monkeypatch.setattr(files, "network_file_system", lambda path: "nfs")

    assert call("sessions").err.startswith("Warning: ")
    assert json.loads(call("sessions", "--json").err)["warning"].startswith(str(path))
