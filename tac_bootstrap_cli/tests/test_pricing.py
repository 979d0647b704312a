"""What a request cost: at the price table's prices, with every kind of cached token, or not at all, and why."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from genai_prices import Usage, calc_price
from hypothesis import given, settings
from hypothesis import strategies as st

from tac_orchestrator import Agent, Database, Prompt
from tac_orchestrator.pricing import Tokens, price

SAMPLES = Path(__file__).parent / "samples"
MILLION = 1_000_000
COLUMNS = ("tokens_input", "tokens_output", "tokens_cache_read", "tokens_cache_write", "tokens_cache_write_1h")


def cost(model: str, *tokens: int) -> Decimal | None:
    return price(model, Tokens(*tokens)).cost_usd


def test_input_includes_what_was_read_from_the_cache_and_written_to_it() -> None:
    assert cost("claude-opus-5-5", MILLION, 0) == 4
    assert cost("claude-opus-5-5", 0, MILLION) == 20
    assert cost("claude-opus-5-5", MILLION, 0, MILLION) == Decimal("0.2")
    assert cost("claude-opus-5-5", 3 * MILLION, 0, MILLION, MILLION) == Decimal("9.2")


def test_what_is_kept_in_the_cache_for_an_hour_costs_more_than_for_five_minutes() -> None:
    assert cost("claude-opus-5-5", MILLION, 0, 0, MILLION, 0) == 5
    assert cost("claude-opus-5-5", MILLION, 0, 0, MILLION, MILLION) == 8
    assert cost("claude-opus-5-5", MILLION, 0, 0, MILLION, MILLION // 2) == Decimal("6.5")


def _totals_of_claude_code() -> list[tuple[str, Tokens, float]]:
    found = list[tuple[str, Tokens, float]]()
    for manifest in sorted(SAMPLES.glob("*/manifest.json")):
        result = json.loads(manifest.read_text())["expected"].get("final_result", {})
        for model, used in result.get("modelUsage", {}).items():
            read, written = used["cacheReadInputTokens"], used["cacheCreationInputTokens"]
            tokens = Tokens(used["inputTokens"] + read + written, used["outputTokens"], read, written)
            found.append((model, tokens, used["costUSD"]))
    return found


@pytest.mark.parametrize(("model", "tokens", "total"), _totals_of_claude_code())
def test_it_agrees_with_what_claude_code_itself_reported(model: str, tokens: Tokens, total: float) -> None:
    assert price(model, tokens).cost_usd == Decimal(str(round(total, 8)))


@pytest.mark.parametrize(
    ("model", "entry"),
    [
        ("claude-opus-5-5", "anthropic/claude-opus-5-5"),
        ("claude-opus-5-5[1m]", "anthropic/claude-opus-5-5"),
        ("claude-haiku-4-5-20251001", "anthropic/claude-haiku-4-5"),
        ("claude-sonnet-4-5@20250929", "anthropic/claude-sonnet-4-5"),
        ("anthropic/claude-sonnet-4-5", "anthropic/claude-sonnet-4-5"),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", "aws/regional.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws/regional.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", "aws/regional.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("gpt-4o-2024-08-06", "openai/gpt-4o"),
        ("openai/gpt-4o", "openai/gpt-4o"),
        ("models/gemini-2.5-pro", "google/gemini-2.5-pro"),
        ("openrouter/anthropic/claude-sonnet-4.5", "openrouter/anthropic/claude-sonnet-4.5"),
    ],
)
def test_a_model_is_known_by_the_names_that_providers_and_frameworks_give_it(model: str, entry: str) -> None:
    found = price(model, Tokens(1000, 100))
    assert found.basis == f"genai-prices {version('genai-prices')}: {entry}"
    assert found.cost_usd is not None
    assert found.cost_usd > 0


@pytest.mark.parametrize(
    "model", ["", "<synthetic>", "no-such-model", "ollama/llama3", "no.such-model", "x[1m]", "/", "é" * 1000]
)
def test_an_unknown_model_has_no_cost_but_a_reason(model: str) -> None:
    found = price(model, Tokens(1000, 100))
    assert found.cost_usd is None
    assert found.basis == f"genai-prices {version('genai-prices')} has no price for model {model!r}"


@pytest.mark.parametrize("tokens", [Tokens(10, 1, 11), Tokens(10, 1, 6, 5), Tokens(10, 1, 0, 5, 6)])
def test_more_cached_tokens_than_there_are_have_no_cost_but_a_reason(tokens: Tokens) -> None:
    found = price("claude-opus-5-5", tokens)
    assert found.cost_usd is None
    assert found.basis == "the cached tokens exceed the input tokens, which include them"


def test_nothing_costs_nothing() -> None:
    assert cost("claude-opus-5-5", 0, 0) == 0


def test_a_long_context_has_its_own_prices() -> None:
    assert cost("claude-sonnet-4-5", 200_000, 0) == Decimal("0.6")
    assert cost("claude-sonnet-4-5", 200_001, 0) == Decimal("1.200006")
    assert cost("gemini-2.5-pro", 200_000, 1000) == Decimal("0.26")
    assert cost("gemini-2.5-pro", 200_001, 1000) == Decimal("0.5150025")


counts = st.integers(0, 2_000_000)
MODELS = [
    "claude-opus-5-5",
    "claude-sonnet-4-5",
    "claude-haiku-4-5",
    "gpt-4o",
    "gpt-5",
    "gemini-2.5-pro",
    "deepseek-chat",
    "o3",
]
TIMES = [datetime(2025, 2, 1, 4, tzinfo=UTC), datetime(2025, 11, 1, 20, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)]


@given(st.sampled_from(MODELS), st.tuples(counts, counts, counts, counts, counts), st.sampled_from(TIMES))
@settings(max_examples=300, deadline=None)
def test_it_is_what_the_price_table_says(model: str, used: tuple[int, ...], at: datetime) -> None:
    fresh, output, read, five_minutes, hour = used
    tokens = Tokens(fresh + read + five_minutes + hour, output, read, five_minutes + hour, hour)
    usage = Usage(
        input_tokens=tokens.input,
        output_tokens=output,
        cache_read_tokens=read,
        cache_write_tokens=five_minutes + hour,
        cache_write_1h_tokens=hour,
    )
    table = calc_price(usage, model, genai_request_timestamp=at).total_price
    assert abs((price(model, tokens, at).cost_usd or 0) - table) <= Decimal("0.00000001")


def test_it_opens_no_socket() -> None:
    program = (
        "import socket, sys\n"
        "def refuse(*_, **__): raise AssertionError('a socket')\n"
        "socket.socket.__init__ = socket.create_connection = socket.getaddrinfo = refuse\n"
        "from tac_orchestrator.pricing import Tokens, load_soon, price\n"
        "load_soon()\n"
        "assert price('claude-opus-5-5', Tokens(1000, 100)).cost_usd and not price('none', Tokens(1, 1)).cost_usd\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


# In the store: the cost, where it comes from, and what it is based on.

Answered = Callable[..., Any]


@pytest.fixture
def answered(db: Database, agent: Agent) -> Answered:
    async def answer(**columns: Any) -> Prompt:
        row = await db.prompts.create(agent.id, "adw", "Do it.")
        await db.prompts.answer(row.id, "Done.", **columns)
        return await db.prompts.get(row.id)

    return answer


async def test_a_cost_that_is_reported_is_kept_as_it_is(answered: Answered) -> None:
    row = await answered(model_used="claude-opus-5-5", tokens_input=1000, tokens_output=100, cost_usd=Decimal("0.5"))
    assert (row.cost_usd, row.cost_source, row.cost_basis) == (Decimal("0.5"), "reported", None)


async def test_a_cost_of_zero_that_is_reported_is_known(answered: Answered) -> None:
    row = await answered(model_used="claude-opus-5-5", tokens_input=1000, tokens_output=100, cost_usd=0)
    assert (row.cost_usd, row.cost_source) == (0, "reported")


async def test_tokens_of_a_known_model_are_priced(answered: Answered) -> None:
    row = await answered(model_used="claude-opus-5-5", **dict(zip(COLUMNS, (10_000, 100, 5000, 2000, 1000), strict=True)))
    assert (row.cost_usd, row.cost_source) == (Decimal("0.028"), "priced")
    assert row.cost_basis == f"genai-prices {version('genai-prices')}: anthropic/claude-opus-5-5"


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"model_used": "none", "tokens_input": 1, "tokens_output": 1}, "has no price for model 'none'"),
        ({"tokens_input": 1, "tokens_output": 1}, "the model is not known"),
        ({"model_used": "claude-opus-5-5"}, "the tokens are not known"),
        ({"model_used": "claude-opus-5-5", "tokens_input": 1}, "the tokens are not known"),
    ],
)
async def test_what_cannot_be_priced_is_unknown_and_says_why(answered: Answered, columns: dict[str, Any], reason: str) -> None:
    row = await answered(**columns)
    assert (row.cost_usd, row.cost_source) == (None, "unknown")
    assert reason in row.cost_basis


async def test_an_unknown_cost_leaves_the_agents_cost_unknown(answered: Answered, db: Database, agent: Agent) -> None:
    await answered(model_used="none", tokens_input=1, tokens_output=1)
    assert (await db.agents.get(agent.id)).cost_usd is None
    await answered(model_used="claude-opus-5-5", tokens_input=MILLION, tokens_output=0)
    assert (await db.agents.get(agent.id)).cost_usd == 4
