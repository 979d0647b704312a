"""Full-text search over prompts, answers and logs. The newest come first: to rank common words takes seconds.

Recording does not pay for the index; whoever searches brings it up to date first.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from tac_orchestrator.engines.base import RawRow, Term, Terms
from tac_orchestrator.errors import DatabaseBusy, DatabaseFull, DatabaseReadOnly, InvalidRecord
from tac_orchestrator.models import SearchHit
from tac_orchestrator.queries import Query
from tac_orchestrator.tables.base import Page, Table

_LOG = logging.getLogger("tac_orchestrator")

_ENTITIES = ("prompt", "agent_log", "system_log")
_ROWS_A_STEP = {"prompt": 500, "agent_log": 5000, "system_log": 5000}
_FEW_WORDS = 200
_TERM = re.compile(r'(?P<minus>-)?(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')


@dataclass(frozen=True, slots=True)
class Progress:
    """How many rows are in the index, of how many."""

    done: int
    total: int


class Search(Table[SearchHit]):
    kind = "search"
    name = "search"
    model = SearchHit

    async def find(self, words: str, *, limit: int = 50) -> Page[SearchHit]:
        """The newest rows with all of these words. `"a phrase"`, `begin*`, `-without` and `OR` mean what they mean elsewhere.

        Brings the index up to date first; where the store cannot be written to, what is new is left out, and a warning says so.
        Raises InvalidRecord if there is no word to look for.
        """
        self._check_limit(limit)
        wanted = terms(words)
        try:
            async for _ in self.catch_up():
                pass
        except (DatabaseReadOnly, DatabaseFull, DatabaseBusy) as error:
            _LOG.warning("the search leaves out what was written since the last one: %s", error)
        found = await asyncio.gather(*(self._matching(entity, wanted, limit) for entity in _ENTITIES))
        rows = [raw for one in found for raw in one]
        rows.sort(key=lambda raw: str(raw["created_at"]), reverse=True)
        return [self._row(raw) for raw in rows[:limit]]

    async def _matching(self, entity: str, wanted: Terms, limit: int) -> list[RawRow]:
        words = self._engine.codec.match(await self._spelled_out(entity, wanted))
        rows = await self._fetch(self._queries[f"find_{entity}"], words=words, limit=limit)
        return [{**raw, "excerpt": _whole(raw["excerpt"])} for raw in rows]

    async def _spelled_out(self, entity: str, wanted: Terms) -> Terms:
        """Beginnings with the words that begin so. SQLite finds words from the newest row on; of a beginning, it puts all rows
        together before it finds the first."""
        query = self._queries.get(f"words_{entity}")
        terms = {term for term in (*wanted.wanted, *wanted.unwanted) if isinstance(term, Term) and _is_beginning(term)}
        if query is None or not terms:
            return wanted
        known = {term: replace(term, words=await self._words(query, term.text.lower())) for term in terms}
        return Terms(
            [known.get(term, term) if isinstance(term, Term) else term for term in wanted.wanted],
            [known.get(term, term) for term in wanted.unwanted],
        )

    async def _words(self, query: Query, beginning: str) -> tuple[str, ...]:
        """Nothing if there are too many to look for each."""
        last = beginning[:-1] + chr(ord(beginning[-1]) + 1)
        rows = await self._fetch(query, first=beginning, last=last, limit=_FEW_WORDS + 1)
        return tuple(raw["word"] for raw in rows) if len(rows) <= _FEW_WORDS else ()

    async def catch_up(self) -> AsyncIterator[Progress]:
        """Put what was written meanwhile into the index, in steps beside which others can write."""
        for raw in await self._fetch(self._queries["progress"]):
            if raw["entity"] == "prompt" and raw["position"] and raw["marker"] != raw["marked"]:
                await self._write(self._statement("rewind", {"entity": "prompt"}))
        state = {raw["entity"]: raw for raw in await self._fetch(self._queries["progress"])}
        total = sum(_backlog(state[entity]) for entity in _ENTITIES)
        done = 0
        for entity in _ENTITIES:
            for first, last in _steps(state[entity], _ROWS_A_STEP[entity]):
                await self._index(entity, last)
                done += last - first
                yield Progress(done, total)

    async def _index(self, entity: str, last: int) -> None:
        values = {"entity": entity, "last": last}
        names = [f"index_{entity}", "advance"]
        if entity == "prompt":
            names = ["number_prompts", *names, "advance_documents"]
        await self._write(*(self._statement(name, values) for name in names if name in self._queries))


def _whole(excerpt: str) -> str:
    """Without a mark at the end that is not closed: of a long text, a piece of fixed length was taken."""
    opened = excerpt.rfind("⟦")
    return excerpt if opened <= excerpt.rfind("⟧") else f"{excerpt[:opened]}…"


def _is_beginning(term: Term) -> bool:
    """Of one word that is in the index as it is typed, but for capital letters."""
    return term.is_prefix and term.text.isascii() and term.text.isalnum()


def terms(words: str) -> Terms:
    """What people type. Raises InvalidRecord if there is no word to look for."""
    if not isinstance(words, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidRecord("search", "it takes a text", field="words", value=words)
    wanted, unwanted = list[Term | Literal["OR"]](), list[Term]()
    for found in _TERM.finditer(words.replace("\0", " ")):
        text = found["phrase"] if found["phrase"] is not None else found["word"]
        if text == "OR" and found["word"]:
            wanted.append("OR")
        elif any(sign.isalnum() for sign in text):
            is_prefix = found["word"] is not None and text.endswith("*")
            (unwanted if found["minus"] else wanted).append(Term(text.rstrip("*"), is_prefix))
    joined = list(_joined(wanted))
    if not joined:
        raise InvalidRecord("search", "there is no word to look for", field="words", value=words)
    return Terms(joined, unwanted)


def _joined(terms: list[Term | Literal["OR"]]) -> Iterator[Term | Literal["AND", "OR"]]:
    """OR stands between two terms or not at all; AND stands everywhere else."""
    previous: Term | Literal["OR"] | None = None
    for term in terms:
        if term == "OR":
            previous = "OR" if previous is not None else None
            continue
        if previous is not None:
            yield "OR" if previous == "OR" else "AND"
        yield term
        previous = term


def _backlog(state: RawRow) -> int:
    return max((state["last"] or 0) - state["position"], 0)


def _steps(state: RawRow, size: int) -> Iterator[tuple[int, int]]:
    first, last = state["position"], state["last"] or 0
    while first < last:
        step = min(first + size, last)
        yield first, step
        first = step
