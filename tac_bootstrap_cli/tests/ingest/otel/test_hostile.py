"""Whatever is sent: a typed error, or what can be read of it is stored. Nothing is half-written, nothing else is harmed."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tac_orchestrator import Database
from tac_orchestrator.ingest.otel import Body, Taken, UnreadableBody, ingest_otlp
from tac_orchestrator.ingest.otel.wire import MAX_ATTRIBUTES

from ..samples import contents
from .captured import CAPTURED, bodies

TRACE, SPAN, OTHER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "00f067aa0ba902b7"
SENT = [body for name in CAPTURED for body in bodies(name)]


def spans(*told: dict[str, Any]) -> Body:
    """A body of spans, in JSON."""
    named = [{"traceId": TRACE, "spanId": SPAN, "name": "chat", **span} for span in told]
    found = {"resourceSpans": [{"scopeSpans": [{"spans": named}]}]}
    return Body("traces", "application/json", json.dumps(found).encode())


def attributes(**told: Any) -> list[dict[str, Any]]:
    return [{"key": name.replace("__", "."), "value": value} for name, value in told.items()]


def call(**told: Any) -> dict[str, Any]:
    """A span that is a request to a model."""
    known = attributes(gen_ai__operation__name={"stringValue": "chat"}, gen_ai__request__model={"stringValue": "gpt-4o"})
    return {"attributes": known, "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000001000000000", **told}


async def attempt(db: Database, body: Body) -> Taken | UnreadableBody:
    try:
        return await ingest_otlp(db, [body])
    except UnreadableBody as error:
        return error


@st.composite
def damaged(draw: st.DrawFn) -> Body:
    """A body that was really sent, cut off, or with some of its bytes changed, doubled or left out."""
    body = draw(st.sampled_from(SENT))
    data = bytearray(body.data)
    if draw(st.booleans()):
        del data[draw(st.integers(0, len(data))) :]
    for _ in range(draw(st.integers(0, 8))):
        if data:
            place = draw(st.integers(0, len(data) - 1))
            data[place : place + draw(st.integers(0, 4))] = draw(st.binary(max_size=6))
    return Body(body.signal, body.content_type, bytes(data))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=damaged())
async def test_damaged_bodies_are_refused_or_read_as_far_as_they_can_be(tmp_path: Path, body: Body) -> None:
    async with Database.open(tmp_path / f"{os.urandom(8).hex()}.db") as db:
        taken = await attempt(db, body)
        if isinstance(taken, UnreadableBody):
            assert taken.hint
            assert await db.agents.list() == []
        else:
            assert await attempt(db, body) == taken


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(signal=st.sampled_from(["traces", "logs", "metrics"]), data=st.binary(max_size=300))
@pytest.mark.parametrize("content_type", ["application/x-protobuf", "application/json"])
async def test_random_bytes_are_refused_or_hold_nothing(content_type: str, signal: Any, data: bytes, db: Database) -> None:
    taken = await attempt(db, Body(signal, content_type, data))
    assert taken.signal == signal if isinstance(taken, UnreadableBody) else taken.spans == 0


async def test_an_unreadable_body_leaves_nothing_of_those_that_came_with_it(db: Database) -> None:
    with pytest.raises(UnreadableBody):
        await ingest_otlp(db, [*bodies("pydantic-ai-v2"), Body("traces", "application/x-protobuf", b"\xff\xff")])
    assert await db.agents.list() == []
    assert await db.spans.of_traces([TRACE]) == []


async def test_spans_without_a_usable_id_are_left_out_counted_and_said_in_the_system_log(db: Database) -> None:
    taken = await ingest_otlp(db, [spans(call(), call(spanId=""), call(spanId="0" * 16), call(traceId=7), call(spanId="xyz"))])
    assert (taken.spans, taken.rejected_count) == (1, 4)
    assert taken.reason == "4 × a span without a trace id and a span id"
    (log,) = await db.system_logs.list()
    assert (log.component, log.log_level, log.details) == ("otlp", "WARNING", {"rejected": dict(taken.rejected)})


async def test_ids_may_be_in_base64_and_numbers_in_texts(db: Database) -> None:
    usage = attributes(gen_ai__usage__input_tokens={"intValue": "12"}, gen_ai__usage__output_tokens={"intValue": 3})
    in_base64 = {
        "spanId": base64.b64encode(bytes.fromhex(SPAN)).decode(),
        "traceId": base64.b64encode(bytes.fromhex(TRACE)).decode(),
    }
    span = call(**in_base64, startTimeUnixNano=1700000000000000000)
    span["attributes"] += usage
    await ingest_otlp(db, [spans(span), spans(call())])
    (prompt,) = await db.prompts.list()
    assert (prompt.tokens_input, prompt.tokens_output, prompt.latency_ms) == (12, 3, 1000)


async def test_parents_in_a_circle_are_cut(db: Database) -> None:
    first, second = call(parentSpanId=OTHER), call(spanId=OTHER, parentSpanId=SPAN)
    itself = call(spanId="00f067aa0ba902b8", parentSpanId="00f067aa0ba902b8")
    await ingest_otlp(db, [spans(first, second, itself)])
    assert len(await db.agents.list()) == 1
    assert await db.prompts.list()


async def test_clocks_may_be_wrong(db: Database) -> None:
    begun = [0, 1, 4_102_444_800_000_000_000, 2**63 - 1, 2**64 - 1, -5]
    told = [call(spanId=f"{place + 1:016x}", startTimeUnixNano=time, endTimeUnixNano=1) for place, time in enumerate(begun)]
    assert (await ingest_otlp(db, [spans(*told)])).spans == len(begun)
    assert all(prompt.latency_ms is not None and prompt.latency_ms >= 0 for prompt in await db.prompts.list())


async def test_names_are_only_names(db: Database) -> None:
    name = "'); DROP TABLE agents; --\0\u202e"
    told = attributes(gen_ai__operation__name={"stringValue": "invoke_agent"}, gen_ai__agent__name={"stringValue": name})
    told += attributes(__proto____={"stringValue": "x"}, session__id={"stringValue": "s" * 5000})
    await ingest_otlp(db, [spans({"attributes": told})])
    (agent,) = await db.agents.list()
    assert (await db.orchestrator_agents.get(agent.orchestrator_agent_id)).name.startswith("'); DROP TABLE agents; --␀")


@pytest.mark.parametrize(
    "wrong",
    [
        {"intValue": -5},
        {"intValue": "9" * 30},
        {"doubleValue": "NaN"},
        {"boolValue": True},
        {"stringValue": "many"},
        {},
        None,
        7,
    ],
)
async def test_tokens_that_are_no_numbers_are_not_known(db: Database, wrong: Any) -> None:
    span = call()
    span["attributes"] += attributes(gen_ai__usage__input_tokens=wrong, operation__cost=wrong)
    await ingest_otlp(db, [spans(span)])
    (prompt,) = await db.prompts.list()
    assert (prompt.tokens_input, prompt.cost_usd) == (None, None)


async def test_what_nests_or_grows_without_end_is_cut(db: Database) -> None:
    deep: dict[str, Any] = {"stringValue": "core"}
    for _ in range(200):
        deep = {"arrayValue": {"values": [deep]}}
    span = call()
    span["attributes"] += attributes(gen_ai__input__messages={"stringValue": "[" * 100_000}, deep=deep)
    span["attributes"] += [{"key": f"key.{place}", "value": {"intValue": place}} for place in range(MAX_ATTRIBUTES * 3)]
    assert (await ingest_otlp(db, [spans(span)])).spans == 1
    assert len(await db.prompts.list()) == 1


async def test_a_chain_of_thousands_is_followed(db: Database) -> None:
    told = [
        {
            "spanId": f"{place + 1:016x}",
            "parentSpanId": f"{place:016x}",
            "name": "step",
            "startTimeUnixNano": str(10**18 + place),
        }
        for place in range(5000)
    ]
    await ingest_otlp(db, [spans(*told, call(parentSpanId=f"{5000:016x}"))])
    assert len(await db.prompts.list()) == 1


async def test_secrets_are_kept_out(db: Database, path: Path) -> None:
    secret = "sk-ant-" + "api03-" + "A1b2C3d4" * 11 + "AA"
    told = [{"role": "user", "parts": [{"type": "text", "content": f"use {secret}"}]}]
    span = call(status={"code": 2, "message": f"refused {secret}"})
    span["attributes"] += attributes(gen_ai__input__messages={"stringValue": json.dumps(told)})
    await ingest_otlp(db, [spans(span)])
    await ingest_otlp(db, [spans(span)])
    (prompt,) = await db.prompts.list()
    assert secret not in f"{prompt.prompt_text}{prompt.error_message}"
    assert secret not in str(await db.spans.of_traces([TRACE]))


@pytest.mark.parametrize("hostile", [b"\xff", b"{}", b"\x0a\x03abc"])
async def test_others_are_not_harmed(db: Database, new_agent: Callable[..., Awaitable[Any]], hostile: bytes) -> None:
    await ingest_otlp(db, bodies("strands-old"))
    before = await contents(db)
    for body in (Body("traces", "application/json", hostile), Body("logs", "application/x-protobuf", hostile)):
        with suppress(UnreadableBody):
            assert await ingest_otlp(db, [body]) == Taken()
    assert await contents(db) == before
