"""What Prometheus is told: in its format, behind the guard, with as many series as there are routes and models, not more."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tac_orchestrator import Database
from tac_orchestrator.database import Writing
from tac_orchestrator.models import Usage
from tac_orchestrator.ops.figures import Figures
from tac_orchestrator.queries import queries
from tac_orchestrator.server.counting import Counts
from tac_orchestrator.server.exposition import exposition
from tac_orchestrator.testing import make_agent

from .support import Server, serving
from .test_live import frame, listening

Series = dict[tuple[str, frozenset[str]], float]


def parsed(text: str) -> Series:
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def told(server: Server) -> Series:
    return parsed(server.get("/metrics").text)


@pytest.fixture
def fresh(tmp_path: Path) -> Generator[Server]:
    """A server of whose requests the test knows all."""
    with serving(tmp_path / "orchestrator.db") as running:
        yield running


def test_the_store_is_told_in_figures(server: Server, store: Path | str) -> None:
    found = told(server)

    model = "claude-sonnet-4-5"
    assert found["tac_sessions", frozenset(("failed",))] == 1
    assert found["tac_prompts", frozenset((model, "other"))] == 3
    assert found["tac_tokens", frozenset((model, "input"))] == 3000
    assert found["tac_tokens_today", frozenset((model, "output"))] == 300
    assert found["tac_cost_usd", frozenset((model,))] == found["tac_cost_usd_today", frozenset((model,))] == 0.0135
    assert found["tac_store_bytes", frozenset[str]()] > 0
    assert found["process_resident_memory_bytes", frozenset[str]()] > 0


def test_what_runs_is_told_by_its_state(server: Server, store: Path) -> None:
    async def begin() -> None:
        async with Database.open(store) as db:
            agent = await make_agent(db, session_id="metrics-1")
            await db.agents.update(agent.id, status="reviewing")
            await db.prompts.create(agent.id, "adw", "Wait.", status="streaming")

    before = told(server)
    asyncio.run(begin())
    after = told(server)

    names = [("tac_agents_at_work", "reviewing"), ("tac_prompts_under_way", "streaming"), ("tac_sessions", "running")]
    assert [after[name, frozenset((state,))] - before[name, frozenset((state,))] for name, state in names] == [1, 1, 1]
    assert after["tac_agents_at_work", frozenset(("planning",))] == 0


def test_requests_are_counted_by_their_route_and_never_by_what_was_asked_for(fresh: Server) -> None:
    for number in range(5):
        fresh.get(f"/api/agents/{number}")
        fresh.get(f"/there/{number}")
        fresh.get(f"/api/there/{number}")
    fresh.ask("PROPFIND", "/api/agents")
    found = told(fresh)

    requests = {labels: count for (name, labels), count in found.items() if name == "tac_http_requests_total"}
    page = next(labels for labels in requests if {"page", "GET"} < labels or {"none", "503"} < labels)
    assert requests == {
        frozenset(("GET", "/api/agents/{id}", "404")): 5,
        page: 5,
        frozenset(("GET", "none", "404")): 5,
        frozenset(("other", "/api/agents", "405")): 1,
    }
    assert found["tac_http_request_seconds_count", frozenset(("/api/agents/{id}",))] == 5
    assert found["tac_http_request_seconds_bucket", frozenset(("/api/agents/{id}", "+Inf"))] == 5


def test_who_is_refused_is_counted(fresh: Server) -> None:
    fresh.get("/api/agents", token="wrong")

    assert told(fresh)["tac_http_requests_total", frozenset(("GET", "none", "401"))] == 1


def test_what_comes_in_is_told_by_its_source(fresh: Server) -> None:
    span = {
        "traceId": "0" * 31 + "1",
        "spanId": "0" * 15 + "1",
        "name": "chat",
        "startTimeUnixNano": "1",
        "endTimeUnixNano": "2",
    }
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span, {**span, "traceId": "no trace"}]}]}]}
    fresh.ask("POST", "/v1/traces", json=body)
    found = told(fresh)

    counts = [found["tac_ingested_records_total", frozenset(("traces", result))] for result in ("accepted", "rejected")]
    assert counts == [1, 1]
    assert found["tac_commits_total", frozenset[str]()] > 0
    assert found["tac_rows_written_total", frozenset[str]()] > 0


async def test_listeners_and_their_feed_are_told(server: Server) -> None:
    async with listening(server) as socket:
        position = (await frame(socket))["position"].split(".")
        found = await asyncio.to_thread(told, server)

    assert found["tac_live_listeners", frozenset[str]()] == 1
    assert found["tac_feed_position", frozenset(("agent_logs",))] >= int(position[1]) > 0


@pytest.mark.parametrize(
    ("headers", "token", "status"),
    [
        ({}, None, 401),
        ({}, "wrong", 401),
        ({"Host": "elsewhere.example"}, "right", 400),
        ({"Origin": "http://a.b"}, "right", 403),
    ],
)
def test_nobody_else_is_told(server: Server, headers: dict[str, str], token: str | None, status: int) -> None:
    given: dict[str, Any] = {} if token == "right" else {"token": token}

    assert server.get("/metrics", headers=headers, **given).status_code == status


def test_either_format_of_prometheus_is_spoken(server: Server) -> None:
    plain = server.get("/metrics")
    open_metrics = server.get("/metrics", headers={"Accept": "application/openmetrics-text;version=1.0.0"})

    assert plain.headers["content-type"].startswith("text/plain; version=")
    assert open_metrics.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert open_metrics.text.endswith("# EOF\n")


def test_models_beyond_the_dearest_are_told_together() -> None:
    counts = dict.fromkeys(("priced_count", "unpriced_count", "tokens_output", "tokens_cache_read", "tokens_cache_write"), 0)
    models = [
        Usage(group=f"model-{place}", prompt_count=2, prompt_failed_count=0, tokens_input=10, cost_usd=None, **counts)
        for place in range(500)
    ]
    live: Any = SimpleNamespace(listeners=(), position="0.0.0")
    told, _ = exposition("", Figures({}, {}, {}, models, [], 0), Writing(0, 0, 0, 0, 0, 0), live, Counts())
    found = parsed(told.decode())

    prompts = {labels: count for (name, labels), count in found.items() if name == "tac_prompts" and "other" in labels}
    assert (len(prompts), prompts[frozenset(("(other)", "other"))]) == (21, 960)
    assert not [name for name, _ in found if name == "tac_cost_usd"]


@pytest.mark.parametrize("name", ["agents_at_work", "prompts_under_way", "sessions"])
async def test_what_is_counted_is_found_by_an_index(name: str, tmp_path: Path) -> None:
    async with Database.open(tmp_path / "orchestrator.db") as db:
        plan = await db.query(f"EXPLAIN QUERY PLAN {queries('figures')[name].text}")

    assert [step["detail"] for step in plan if " INDEX " not in step["detail"]] == []
