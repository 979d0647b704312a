from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tac_orchestrator.cli.formats import Kind, compact, counted, human, money, plain, size

NOW = datetime(2026, 11, 23, 16, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "kind", "for_people", "for_a_pipe"),
    [
        (None, "money", "-", "-"),
        (Decimal("0"), "money", "$0.00", "0"),
        (Decimal("0.00001234"), "money", "<$0.0001", "0.00001234"),
        (Decimal("0.25000000"), "money", "$0.2500", "0.25"),
        (Decimal("1234.5"), "money", "$1,234.50", "1234.5"),
        (Decimal("100"), "money", "$100.00", "100"),
        (48_112, "tokens", "48.1k", "48112"),
        (48_112, "count", "48,112", "48112"),
        (NOW, "ago", "0s ago", "2026-11-23T16:30:00.000Z"),
        (NOW, "clock", "16:30:00", "2026-11-23T16:30:00.000Z"),
        (90.0, "span", "1m30s", "1m30s"),
        ("a\nb", "text", r"a\nb", r"a\nb"),
        (b"\xff\x00", "text", "X'ff00'", "X'ff00'"),
    ],
)
def test_people_get_short_forms_and_pipes_exact_ones(value: Any, kind: Kind, for_people: str, for_a_pipe: str) -> None:
    assert (human(value, kind, NOW), plain(value, kind)) == (for_people, for_a_pipe)


@pytest.mark.parametrize("kind", ["money", "tokens", "count", "ago", "clock", "span", "state"])
def test_what_is_not_what_its_column_wants_is_shown_all_the_same(kind: Kind) -> None:
    assert human("yesterday\x1b", kind, NOW) == plain("yesterday\x1b", kind) == r"yesterday\x1b"


@pytest.mark.parametrize(
    ("value", "shown"), [(0, "0"), (999, "999"), (1000, "1.0k"), (999_949, "999.9k"), (999_950, "1.0M"), (5 * 10**12, "5.0T")]
)
def test_large_numbers_have_a_unit(value: int, shown: str) -> None:
    assert compact(value) == shown


def test_one_is_singular() -> None:
    assert [counted(number, "agent") for number in (0, 1, 2000)] == ["0 agents", "1 agent", "2,000 agents"]


def test_sizes_have_a_unit() -> None:
    assert [size(count) for count in (12, 1500, 2_500_000, 7 * 10**9)] == ["12 bytes", "1.5 kB", "2.5 MB", "7.0 GB"]


def test_money_that_is_no_number_is_shown() -> None:
    assert money("a lot") == "a lot"
