"""The store over HTTP: its nouns, their filters, pages and problems."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tac_orchestrator import Database

from .support import Server

LISTS = {
    "orchestrator-agents": 2,
    "agents": 6,
    "prompts": 3,
    "agent-logs": 11,
    "system-logs": 1,
    "sessions": 3,
}
KEYS = {"sessions": "session_id"}


def pages(server: Server, noun: str, limit: int) -> list[Any]:
    """All rows of a list, read page by page."""
    found, before = list[Any](), ""
    while True:
        told = server.get(f"/api/{noun}?limit={limit}{before}").json()
        found += told["items"]
        if told["next"] is None:
            return found
        before = f"&before={quote(told['next'])}"


@pytest.mark.parametrize("noun", LISTS)
def test_a_list_has_all_rows(server: Server, noun: str) -> None:
    told = server.get(f"/api/{noun}").json()

    assert (LISTS[noun], None) == (len(told["items"]), told["next"])


@pytest.mark.parametrize("noun", LISTS)
@pytest.mark.parametrize("limit", [1, 2])
def test_a_list_is_read_page_by_page(server: Server, noun: str, limit: int) -> None:
    assert server.get(f"/api/{noun}").json()["items"] == pages(server, noun, limit)


@pytest.mark.parametrize("noun", LISTS)
def test_one_row_is_what_its_list_says(server: Server, noun: str) -> None:
    row = server.get(f"/api/{noun}").json()["items"][0]

    assert row == server.get(f"/api/{noun}/{quote(str(row[KEYS.get(noun, 'id')]))}").json()


@pytest.mark.parametrize(
    ("path", "count"),
    [
        ("orchestrator-agents?agent_type=planner", 1),
        ("agents?status=failed", 2),
        ("agents?session_id=issue-1&status=completed", 2),
        ("agents?since=2100-01-01T00:00:00Z", 0),
        ("prompts?session_id=issue-2", 1),
        ("prompts?model_used=claude-sonnet-4-5&status=completed", 3),
        ("agent-logs?log_level=ERROR&session_id=issue-3", 4),
        ("agent-logs?log_type=milestone", 3),
        ("system-logs?component=api", 1),
        ("sessions?status=failed", 1),
        ("sessions?until=2000-01-01T00:00:00%2B02:00", 0),
    ],
)
def test_a_list_takes_filters(server: Server, path: str, count: int) -> None:
    assert count == len(server.get(f"/api/{path}").json()["items"])


def test_money_is_decimal_text_and_unknown_is_null(server: Server) -> None:
    prompt = server.get("/api/prompts?session_id=issue-1").json()["items"][0]

    assert (prompt["cost_usd"], prompt["cost_source"], prompt["error_message"]) == ("0.0045", "priced", None)


def test_a_tree_has_each_agent_behind_its_parent(server: Server) -> None:
    tree = server.get("/api/agents/tree?session_id=issue-3").json()

    assert [(node["name"], node["depth"]) for node in tree] == [("planner", 0), ("builder", 1)]
    assert tree[1]["error_message"] == "RuntimeError: the tests fail"


@pytest.mark.parametrize("group", ["model", "day", "agent_type", "session"])
def test_costs_are_told_by_any_group(server: Server, group: str) -> None:
    told = server.get(f"/api/costs?by={group}").json()

    assert sum(usage["prompt_count"] for usage in told) == 3


def test_words_are_found(server: Server) -> None:
    told = server.get("/api/search", params={"words": '"plan issue"'}).json()

    assert [hit["entity"] for hit in told] == ["prompt"] * 3


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("agents/00000000-0000-4000-8000-00000000dead", 404),
        ("agents/tree?session_id=nobody", 404),
        ("sessions/a%2Fb", 404),
        ("sessions/", 404),
        ("agent-logs/99999999999999999999", 422),
        ("agent-logs/abc", 422),
        ("agents?status=sleeping", 422),
        ("agents?colour=red", 422),
        ("agents?limit=0", 422),
        ("agents?limit=1001", 422),
        ("agents?since=yesterday", 422),
        ("agents?since=2026-01-01T00:00:00", 422),
        ("agents?session_id=%00", 422),
        ("agents?before=00000000-0000-4000-8000-00000000dead", 404),
        ("prompts?before=%27%3B%20DROP%20TABLE%20prompts", 404),
        ("costs?by=colour", 422),
        ("search", 422),
        ("search?words=%22", 422),
        ("nothing", 404),
    ],
)
def test_what_cannot_be_answered_is_a_problem_with_a_reason(server: Server, path: str, status: int) -> None:
    answer = server.get(f"/api/{path}")

    assert (status, "application/problem+json") == (answer.status_code, answer.headers["content-type"])
    assert answer.json()["detail"]


def test_a_method_that_is_not_there_is_a_problem(server: Server) -> None:
    answer = server.ask("DELETE", "/api/agents")

    assert (answer.status_code, answer.headers["content-type"]) == (405, "application/problem+json")


def test_every_route_is_documented(server: Server) -> None:
    paths = server.get("/api/openapi.json").json()["paths"]

    assert {f"/api/{noun}" for noun in LISTS} | {"/api/costs", "/api/search", "/api/health", "/api/login"} <= set(paths)
    assert [path for path, methods in paths.items() for one in methods.values() if not one.get("description")] == []


def test_brief_prompts_have_the_beginnings_of_their_texts(server: Server) -> None:
    whole = server.get("/api/prompts?session_id=issue-1").json()["items"]
    brief = server.get("/api/prompts?session_id=issue-1&brief=true").json()["items"]

    assert brief == [{**row, "details": None} for row in whole]
    assert server.get("/api/prompts?limit=2&brief=true").json()["items"] == server.get("/api/prompts?limit=2").json()["items"]


def test_kinds_of_agents_tell_what_became_of_their_runs(server: Server) -> None:
    counts = {
        kind["name"]: (
            kind["agent_count"],
            kind["completed_count"],
            kind["failed_count"],
            kind["running_count"],
            kind["cost_usd"],
        )
        for kind in server.get("/api/orchestrator-agents/usage").json()
    }
    cost = server.get("/api/costs?by=agent_type").json()[0]["cost_usd"]

    assert counts == {"builder": (3, 2, 1, 0, None), "planner": (3, 2, 1, 0, cost)}


def test_kinds_whose_runs_began_earlier_have_none(server: Server) -> None:
    told = server.get("/api/orchestrator-agents/usage?since=2100-01-01T00:00:00Z").json()

    assert [(kind["name"], kind["agent_count"], kind["cost_usd"]) for kind in told] == [
        ("builder", 0, None),
        ("planner", 0, None),
    ]


def test_the_status_says_how_much_there_is(server: Server, store: Path | str) -> None:
    told = server.get("/api/status").json()

    assert told["size_bytes"] >= (store.stat().st_size if isinstance(store, Path) else 1)
    assert {name: told[name] for name in ("store", "session_count", "agent_count", "running_count", "prompt_count")} == {
        "store": str(store),
        "session_count": 3,
        "agent_count": 6,
        "running_count": 0,
        "prompt_count": 3,
    }


def test_sessions_are_found_by_the_beginning_of_their_names(server: Server) -> None:
    assert server.get("/api/search/sessions?beginning=issue-&limit=2").json() == ["issue-3", "issue-2"]
    assert server.get("/api/search/sessions?beginning=sue").json() == []


def test_costs_are_told_for_each_model_of_each_day(server: Server) -> None:
    told = server.get("/api/costs/daily").json()
    day, model = server.get("/api/costs?by=day").json(), server.get("/api/costs?by=model").json()

    assert [(one["day"], one["group"], one["cost_usd"]) for one in told] == [
        (day[0]["group"], model[0]["group"], model[0]["cost_usd"])
    ]
    assert server.get("/api/costs/daily?since=2100-01-01T00:00:00Z").json() == []


def test_the_health_of_the_store_is_what_the_doctor_finds(server: Server, store: Path | str) -> None:
    told = server.get("/api/health/database").json()
    findings = {finding["name"]: finding for finding in told["findings"]}

    if isinstance(store, str):
        assert (findings["schema"]["state"], findings["server"]["state"], findings["feed"]["state"]) == ("ok", "ok", "ok")
        return
    assert (findings["schema"]["state"], findings["damage"]["state"]) == ("ok", "ok")
    assert str(store) in findings["file"]["message"]
    assert (findings["backups"]["state"], told["state"]) == ("warning", "warning")
    assert "tac-orch backup" in findings["backups"]["remedy"]
    assert server.get("/api/health/database").json() == told


def test_the_health_of_the_ingest_says_what_came_and_what_was_left_out(server: Server) -> None:
    told = server.get("/api/health/ingest").json()
    findings = [(finding["name"], finding["state"]) for finding in told["findings"]]

    assert findings[:3] == [("agents", "ok"), ("rejected", "ok"), ("files", "ok")]
    assert "recorded by programs themselves" in told["findings"][0]["message"]


@pytest.mark.parametrize("path", ["/api/health/database", "/api/health/ingest", "/api/costs/daily"])
def test_only_whether_it_answers_is_told_without_a_token(server: Server, path: str) -> None:
    assert (server.get("/api/health", token=None).status_code, server.get(path, token=None).status_code) == (200, 401)


async def test_a_prompt_that_waits_for_its_answer_is_counted_too(server: Server, store: Path | str) -> None:
    before = server.get("/api/status").json()["prompt_count"]
    async with Database.open(store) as db:
        agent = (await db.agents.list(limit=1))[0]
        prompt = await db.prompts.create(agent.id, "adw", "Go on.")
        during = server.get("/api/status").json()["prompt_count"]
        await db.prompts.delete(prompt.id)

    assert (before, before + 1) == (server.get("/api/status").json()["prompt_count"], during)
