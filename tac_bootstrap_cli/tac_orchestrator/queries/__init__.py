"""Named queries, kept as SQL in files.

A file holds one table's queries. Each begins with its name, `-- name --`, and a line that says what it is for, where the name
does not. Parameters are `:named`.

`-- name_{entity}: this, that --` is two queries of one text, with `this` and with `that` in the places of `{entity}`.

A list has a `{filters}` place. The fragments that may stand there are named after it, `-- list.status --`. The first that is
asked for chooses the index; the others begin with `{also}`, which keeps SQLite from taking theirs. Where an index leaves out
the common values, `-- list.status.common --` is for them; `-- list.type.level --` is for two that share an index;
`-- list.status.also --` is for where another one has chosen. A list that has chosen already has `{more_filters}`. An update has
a `{changes}` place.

An engine that needs other words for a query has them under the same name in a folder of its own; what has no words there is a
step that it does without.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable

_HEADER = re.compile(r"^-- ([a-z_0-9.{}]+)(?:: ([a-z_, ]+))? --$", re.MULTILINE)
_PARAMETER = re.compile(r"(?<!:):([a-z_][a-z_0-9]*)")
_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)
_FILTERS = re.compile(r"\{(?:more_)?filters\}")
_ROW = re.compile(r"\bVALUES\s*(\((?:[^()]|\([^()]*\))*\))")


FREE_TEXT = frozenset(
    ("prompt_text", "response_text", "error_message", "message", "details", "context", "config", "description", "capabilities")
)
_PARENTS_FIRST = ("leases", "orchestrator_agents", "agents", "prompts", "agent_logs", "system_logs")


@dataclass(frozen=True, slots=True, eq=False)
class Query:
    """One statement. `parameters` are the names of its values, in the order of their places.

    `row` is the text of its VALUES tuple if all its parameters stand in there: such a query can take many rows at once.
    Of independent writes that wait together, those of a lower `rank` may go first: parents before children, inserts before
    updates. `free_text` are the places of values that people and models have written, which may hold a secret.
    """

    name: str
    text: str
    engine: str = ""
    parameters: tuple[str, ...] = field(init=False)
    row: str | None = field(init=False)
    rank: int = field(init=False)
    free_text: tuple[int, ...] = field(init=False)
    _marked: dict[tuple[str, int], str] = field(init=False, default_factory=dict[tuple[str, int], str], repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parameters", tuple(_PARAMETER.findall(self.text)))
        rows = _ROW.findall(self.text)
        alone = len(rows) == 1 and len(_PARAMETER.findall(rows[0])) == len(self.parameters) > 0 and "RETURNING" not in self.text
        object.__setattr__(self, "row", rows[0] if alone else None)
        object.__setattr__(self, "rank", _rank(self.table, self.text))
        object.__setattr__(self, "free_text", tuple(place for place, name in enumerate(self.parameters) if name in FREE_TEXT))

    @property
    def table(self) -> str:
        return self.name.partition(".")[0]

    def with_marks(self, mark: str, rows: int = 1) -> str:
        """The SQL with `mark` in each parameter's place and, for a query that takes many rows, room for `rows` of them."""
        known = self._marked.get((mark, rows))
        if known is None:
            text = self.text if self.row is None else self.text.replace(self.row, ", ".join([self.row] * rows))
            known = self._marked[mark, rows] = _PARAMETER.sub(mark, text)
        return known

    def filtered(self, names: Iterable[str]) -> Query:
        """This list, restricted by all fragments of these names. The first should be the one that leaves the fewest rows."""
        return _filtered(self, tuple(names))

    def changing(self, names: Iterable[str]) -> Query:
        """This update, setting these columns."""
        return _changing(self, tuple(names))


def _rank(table: str, text: str) -> int:
    place = _PARENTS_FIRST.index(table) if table in _PARENTS_FIRST else len(_PARENTS_FIRST)
    return place if text.startswith("INSERT") else place + len(_PARENTS_FIRST) + 1


@lru_cache(maxsize=1024)
def _filtered(query: Query, names: tuple[str, ...]) -> Query:
    fragments = queries(query.table, query.engine)
    chosen = [f"{query.name.split('.')[1]}.{name}" for name in names]
    first = 0 if "{filters}" in query.text else None
    chosen = [
        name if place == first or f"{name}.also" not in fragments else f"{name}.also" for place, name in enumerate(chosen)
    ]
    texts = [fragments[name].text for name in chosen]
    parts = [text.replace("{also}", "" if place == first else "+") for place, text in enumerate(texts)]
    text = _FILTERS.sub(lambda _: " AND ".join(parts) or "TRUE", query.text)
    return Query(f"{query.name}[{' '.join(names)}]", text, query.engine)


@lru_cache(maxsize=1024)
def _changing(query: Query, names: tuple[str, ...]) -> Query:
    changes = ", ".join(f"{name} = :{name}" for name in names)
    return Query(f"{query.name}[{' '.join(names)}]", query.text.replace("{changes}", changes), query.engine)


@cache
def queries(table: str, engine: str = "") -> dict[str, Query]:
    """The queries of one table by name. Raises FileNotFoundError if it has no file."""
    texts = _texts(files(__name__) / f"{table}.sql")
    own = files(__name__) / engine / f"{table}.sql"
    if engine and own.is_file():
        texts |= _texts(own)
    return {name: Query(f"{table}.{name}", text, engine) for name, text in texts.items() if text}


def _texts(file: Traversable) -> dict[str, str]:
    parts = _HEADER.split(file.read_text("utf-8"))
    return {
        name.replace("{entity}", entity): " ".join(_COMMENT.sub("", text).split()).rstrip(";").replace("{entity}", entity)
        for name, entities, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
        for entity in (entities or "").split(", ")
    }
