"""How rows become JSON: as their models say it, whatever they hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from tac_orchestrator import Prompt
from tac_orchestrator.server.answers import listed

PLAIN: dict[str, Any] = {
    "id": "01900000-0000-7000-8000-000000000001",
    "agent_id": "01900000-0000-7000-8000-000000000002",
    "prompt_type": "adw",
    "prompt_text": 'Plan "it".\n⟦ü⟧ \x01 </script>',
    "status": "completed",
    "created_at": datetime(2026, 2, 3, 4, 5, 6, 7, UTC),
}


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"created_at": datetime(1, 1, 1, tzinfo=UTC), "completed_at": datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)},
        {"created_at": datetime(2026, 2, 3, 4, 5, 6, 100_000, timezone(timedelta(hours=2)))},
        {"created_at": "yesterday"},
        {"cost_usd": Decimal("0.00000001")},
        {"cost_usd": Decimal("1E-8"), "latency_ms": 2**63 - 1},
        {"cost_usd": Decimal("123456789.12345678")},
        {"cost_usd": "much"},
        {"tokens_input": 2**70},
        {"tokens_input": 1.5},
        {"details": {"a": [1, 2.5e300, None, True, "ü"], "b": {"": {}}}},
        {"details": "no JSON"},
        {"status": "nonsense"},
        {"response_text": ""},
    ],
)
def test_a_row_is_told_as_its_model_tells_it(odd: dict[str, Any]) -> None:
    row = Prompt.model_construct(**{**PLAIN, **odd})

    (told,) = json.loads(bytes(listed([row]).body))

    assert told == json.loads(row.model_dump_json(warnings=False))
    assert list(told) == list(Prompt.model_fields)
