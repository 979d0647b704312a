"""The live socket: every change of every process, from where a listener left off."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tac_orchestrator import Database
from tac_orchestrator.models import Change, Event
from tac_orchestrator.server.live import Interest, Listener, Live
from tac_orchestrator.testing import make_agent

from ..store.support import start_python
from .support import TOKEN, Server, serving


@asynccontextmanager
async def listening(server: Server, query: str = "", **headers: str) -> AsyncGenerator[ClientConnection]:
    given = {"Authorization": f"Bearer {TOKEN}", **headers}
    async with connect(f"ws://127.0.0.1:{server.port}/api/live?{query}", additional_headers=given, max_size=None) as socket:
        yield socket


async def frame(socket: ClientConnection) -> dict[str, Any]:
    return json.loads(await asyncio.wait_for(socket.recv(), 20))


async def changes(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    """So many changes, in the order in which they come."""
    found = list[dict[str, Any]]()
    while len(found) < count:
        found += (await frame(socket)).get("changes", [])
    return found


async def test_a_listener_hears_what_another_process_commits(server: Server, store: Path) -> None:
    async with listening(server) as socket:
        assert (await frame(socket))["type"] == "pulse"
        async with Database.open(store) as db:
            agent = await make_agent(db, session_id="live-1")
            await db.agent_logs.create(agent.id, "milestone", "begun")
            told = await changes(socket, 2)

    assert [(one["entity"], one["operation"], one["session_id"]) for one in told] == [
        ("agent", "insert", "live-1"),
        ("agent_log", "insert", "live-1"),
    ]
    assert [told[0]["row"]["name"], told[1]["row"]["message"]] == ["builder", "begun"]


async def test_a_listener_hears_what_it_asked_for(server: Server, store: Path) -> None:
    async with listening(server, "session_id=live-2&entity=agent_log&entity=prompt") as socket, Database.open(store) as db:
        await frame(socket)
        other, agent = await make_agent(db, session_id="live-3"), await make_agent(db, session_id="live-2")
        await db.agent_logs.create(other.id, "milestone", "not for it")
        await db.prompts.create(agent.id, "adw", "x" * 1000)
        await db.agent_logs.create(agent.id, "milestone", "for it")
        told = await changes(socket, 2)

    assert {("prompt", None), ("agent_log", "for it")} == {(one["entity"], one["row"].get("message")) for one in told}
    assert {300} == {len(one["row"]["prompt_text"]) for one in told if one["entity"] == "prompt"}


async def test_a_listener_that_comes_back_has_missed_nothing(server: Server, store: Path) -> None:
    async with Database.open(store) as db:
        agent = await make_agent(db, session_id="live-4")
        async with listening(server) as socket:
            position = (await frame(socket))["position"]
        for number in range(2500):
            db.agent_logs.log_soon(agent.id, "milestone", str(number))
        await db.flush()
        async with listening(server, f"session_id=live-4&position={position}") as socket:
            await db.agent_logs.create(agent.id, "milestone", "2500")
            told = await changes(socket, 2501)

    assert [str(number) for number in range(2501)] == [one["row"]["message"] for one in told if one["entity"] == "agent_log"]


async def test_a_listener_may_come_back_to_another_server(server: Server, store: Path) -> None:
    async with listening(server) as socket:
        position = (await frame(socket))["position"]
    async with Database.open(store) as db:
        await db.system_logs.create("api", "while nobody listened")
    with serving(store) as other:
        async with listening(other, f"entity=system_log&position={quote(position)}") as socket:
            told = await changes(socket, 1)

    assert told[0]["row"]["message"] == "while nobody listened"


async def test_a_position_that_is_no_longer_kept_is_told(tmp_path: Path) -> None:
    store = tmp_path / "orchestrator.db"
    async with Database.open(store) as db:
        await make_agent(db)
        connection = await db.raw_connection()
        await connection.execute("DELETE FROM changes WHERE id < (SELECT MAX(id) FROM changes)")
        await connection.commit()
        await connection.close()
    with serving(store) as server:
        async with listening(server, "position=0.0.0") as socket:
            assert (await frame(socket))["type"] == "reset"
            with pytest.raises(ConnectionClosed):
                await frame(socket)


async def test_a_position_that_is_none_is_refused(server: Server) -> None:
    async with listening(server, "position=yesterday") as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await frame(socket)
    assert closed.value.rcvd is not None
    assert "a position reads like" in closed.value.rcvd.reason


@pytest.mark.parametrize(
    "headers",
    [{"Authorization": "Bearer nobody"}, {"Origin": "http://evil.example"}, {"Origin": "http://127.0.0.1:1"}],
)
async def test_a_socket_is_guarded_as_a_route_is(server: Server, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidStatus):
        async with listening(server, **headers):
            pass


async def test_a_hundred_listeners_hear_the_same(server: Server, store: Path) -> None:
    async def hear() -> dict[str, Any]:
        async with listening(server, "entity=system_log") as socket:
            await frame(socket)
            ready.release()
            return (await changes(socket, 1))[0]

    ready = asyncio.Semaphore(0)
    listeners = [asyncio.create_task(hear()) for _ in range(100)]
    for _ in listeners:
        await ready.acquire()
    async with Database.open(store) as db:
        await db.system_logs.create("api", "to all of you")
    told = await asyncio.gather(*listeners)

    assert {"to all of you"} == {one["row"]["message"] for one in told}


def test_a_listener_that_is_too_slow_is_late_and_harms_nobody() -> None:
    listener = Listener(Interest())
    event = Event.model_construct(
        position="1.0.0", entity="agent", operation="insert", row_id="x", session_id=None, agent_id=None, row=None
    )
    assert isinstance(event, Change)
    while not listener.is_late:
        listener.offer([])

    assert listener.frames.qsize() == 256


async def test_an_agent_whose_process_is_gone_ends_while_the_server_looks(tmp_path: Path) -> None:
    store = tmp_path / "orchestrator.db"
    with start_python(_DIES, store) as process:
        process.wait(30)
    with serving(store) as server:
        async with listening(server, "entity=agent&position=0.0.0") as socket:
            async with asyncio.timeout(30):
                while (row := (await changes(socket, 1))[-1]["row"])["status"] == "executing":
                    pass  # whoever listens early enough hears of its beginning, too

    assert row["status"] == "failed"
    assert "is gone" in row["error_message"]


_DIES = """
import asyncio, os, sys
from tac_orchestrator import Database

async def main():
    async with Database.open(sys.argv[1]) as db:
        await db.orchestrator_agents.register("builder", agent_type="builder")
        async with db.agents.run("builder"):
            os._exit(1)

asyncio.run(main())
"""


async def test_a_listener_that_goes_while_a_frame_comes_is_let_go(db: Database) -> None:
    """Or the server would wait for it when it ends."""
    live = Live(db)
    frames = live.listen(Interest(), None, pulse_s=60)
    await anext(frames)
    (listener,) = live.listeners
    listening = asyncio.create_task(anext(frames))
    for _ in range(5):  # rounds of the loop, after which it waits for a frame
        await asyncio.sleep(0)
    listener.offer([])
    listening.cancel()
    await asyncio.wait([listening], timeout=5)

    assert listening.cancelled()
