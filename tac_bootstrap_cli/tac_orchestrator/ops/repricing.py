"""Prices again what was priced, or could not be: price tables learn of new models, and of prices that were wrong.

A cost that was reported stays. So does one that was priced once and that the table of today has no price for any more. Each
request costs what the table says of the time at which it was made. Totals move with every commit, and commits are small, so
that others can record meanwhile; interrupted, it does the rest when it is called again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tac_orchestrator.database import Database
from tac_orchestrator.engines.base import RawRow, Statement
from tac_orchestrator.queries import Query
from tac_orchestrator.tables.prompts import with_cost

_A_COMMIT = 128
"""Prompts whose cost changes together: each moves several totals."""

_EVER = datetime(1, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Repriced:
    """The prompts of one model whose cost has changed."""

    prompts: int = 0
    before_usd: Decimal = Decimal(0)
    after_usd: Decimal = Decimal(0)


@dataclass(slots=True)
class Repricing:
    """What pricing again changes. `checked` are the prompts that were looked at; of them `priced` had no cost and have one now,
    `changed` have another one than before, `unknown` still have none, and `gone` keep one that no table has a price for today.
    `by_model` tells of those that are priced or changed; '' is a model that no source has named."""

    checked: int = 0
    priced: int = 0
    changed: int = 0
    unknown: int = 0
    gone: int = 0
    by_model: dict[str, Repriced] = field(default_factory=lambda: defaultdict[str, Repriced](Repriced))

    @property
    def before_usd(self) -> Decimal:
        return sum((one.before_usd for one in self.by_model.values()), Decimal(0))

    @property
    def after_usd(self) -> Decimal:
        return sum((one.after_usd for one in self.by_model.values()), Decimal(0))

    def note(self, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
        """Whether that is a change."""
        before, after = old["cost_usd"], new["cost_usd"]
        self.checked += 1
        self.gone += before is not None and after is None
        self.unknown += before is None and after is None
        if after is None or before == after:
            return False
        self.priced += before is None
        self.changed += before is not None
        model = self.by_model[old["model_used"] or ""]
        model.prompts += 1
        model.before_usd += before or Decimal(0)
        model.after_usd += after
        return True


async def reprice(
    db: Database, *, session_id: str | None = None, since: datetime | None = None, dry_run: bool = False
) -> Repricing:
    """Price everything again, or the prompts of one session, or those made since a time. Returns what that has changed, or
    would change."""
    done = Repricing()
    async for rows in _pages(db, session_id, since or _EVER):
        changes = [(row, new) for row in rows if done.note(row, new := _priced(row))]
        if changes and not dry_run:
            await db.commit(_change(db, changes))
    return done


def _priced(row: Mapping[str, Any]) -> dict[str, Any]:
    return with_cost({**row, "cost_usd": None, "cost_source": None, "cost_basis": None})


async def _pages(db: Database, session_id: str | None, since: datetime) -> AsyncIterator[list[dict[str, Any]]]:
    query = db.engine.queries("repricing")["page" if session_id is None else "page_of_session"]
    codec = db.engine.codec
    place: dict[str, Any] = {"session_id": session_id, "after_at": codec.time(since), "after": "", "limit": _A_COMMIT}
    while rows := await db.engine.fetch(query, _places(query, place)):
        yield [_read(db, row) for row in rows]
        place |= {"after_at": rows[-1]["created_at"], "after": rows[-1]["id"]}


def _read(db: Database, raw: RawRow) -> dict[str, Any]:
    codec = db.engine.codec
    return {**raw, "created_at": codec.read_time(raw["created_at"]), "cost_usd": codec.read_money(raw["cost_usd"])}


def _change(db: Database, changes: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Statement:
    query, money = db.engine.queries("repricing")["change"], db.engine.codec.money
    rows = list[tuple[Any, ...]]()
    for old, new in changes:
        before = None if old["cost_usd"] is None else money(old["cost_usd"])
        told = {**new, "cost_usd": money(new["cost_usd"]), "old_cost_usd": before, "old_source": old["cost_source"]}
        rows.append(_places(query, told))
    return Statement(query, rows)


def _places(query: Query, values: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(values[name] for name in query.parameters)
