from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tac_orchestrator.cli.times import ago, clock, iso, moment, span

NOW = datetime(2026, 11, 23, 16, 30, 5, 250_400, UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("30m", NOW - timedelta(minutes=30)),
        ("2h", NOW - timedelta(hours=2)),
        (" 7D ", NOW - timedelta(days=7)),
        ("2w", NOW - timedelta(weeks=2)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T10:30", datetime(2026, 11, 20, 10, 30, tzinfo=UTC)),
        ("2026-11-20 10:30:15.5Z", datetime(2026, 11, 20, 10, 30, 15, 500_000, UTC)),
        ("2026-11-20T10:30+02:00", datetime(2026, 11, 20, 8, 30, tzinfo=UTC)),
    ],
)
def test_people_write_times_in_several_ways(text: str, meant: datetime) -> None:
    assert moment(text, NOW) == meant


@pytest.mark.parametrize("text", ["", "soon", "2 fortnights", "2026-13-01", "999999999w", "-2h", "0001-01-01T00:00+14:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a span|longer ago"):
        moment(text, NOW)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s ago"),
        (59, "59s ago"),
        (60, "1m ago"),
        (3599, "59m ago"),
        (86_399, "23h ago"),
        (864_000, "10d ago"),
        (-120, "in 2m"),
    ],
)
def test_ages_have_one_unit(seconds: int, shown: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0ms"),
        (0.0404, "40ms"),
        (0.9996, "1.0s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.6, "1m00s"),
        (200, "3m20s"),
        (7500, "2h05m"),
        (97_200, "1d03h"),
        (-1, "0ms"),
    ],
)
def test_spans_are_short(seconds: float, shown: str) -> None:
    assert span(seconds) == shown


def test_a_clock_leaves_no_doubt_about_the_day() -> None:
    times = [NOW, NOW - timedelta(days=1), NOW - timedelta(days=365)]

    assert [clock(time, NOW) for time in times] == ["16:30:05", "11-22 16:30", "2025-11-23"]


def test_a_time_for_programs_has_its_zone() -> None:
    assert iso(NOW) == "2026-11-23T16:30:05.250Z"
