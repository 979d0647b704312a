from __future__ import annotations

from pathlib import Path

from ..store.support import connected
from .support import Caller


def _as_if_priced_before(store: Path | str) -> None:
    """By a table that said something else."""
    with connected(store) as connection:
        connection.execute("UPDATE prompts SET cost_usd = 1 WHERE cost_source = 'priced'")


def test_it_says_what_has_changed(call: Caller, store: Path | str) -> None:
    _as_if_priced_before(store)

    lines = call("reprice").out.splitlines()

    assert lines[1].split() == ["claude-sonnet-4-5", "2", "2", "0.148992"]
    assert lines[-2] == "4 prompts looked at, 0 get a price, 2 get another one: -1.851008 dollars."
    assert lines[-1] == "2 prompts without a price: `tac-orch cost --explain SESSION` says why."
    assert call("reprice").out.splitlines()[0] == "4 prompts looked at, and every price is as it was."
    assert call("cost").out.splitlines()[-1].split()[-2] == "0.648992"


def test_a_dry_run_changes_nothing(call: Caller, store: Path | str) -> None:
    _as_if_priced_before(store)

    told = call("reprice", "--dry-run", "--session", "issue-42", "--json").json

    assert (told["dry_run"], told["checked"], told["changed"], told["unknown"]) == (True, 2, 1, 1)
    assert told["models"] == [{"model": "claude-sonnet-4-5", "prompts": 1, "before_usd": "1", "after_usd": "0.074496"}]
    assert call("reprice", "--dry-run", "--json").json["changed"] == 2


def test_a_session_that_is_not_there_is_no_session_without_prompts(call: Caller, store: Path | str) -> None:
    result = call("reprice", "--session", "issue-4711")

    assert result.code == 3
    assert "issue-4711" in result.err
