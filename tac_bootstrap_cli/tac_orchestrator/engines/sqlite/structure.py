"""What a database is made of, told in a way that does not depend on how it came about.

SQLite keeps the text of each CREATE statement, and appends what ALTER TABLE adds. Two tables are the same if they have the same
set of columns and constraints.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

from tac_orchestrator.engines.sqlite.library import sqlite

_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_CREATED = re.compile(
    r"^CREATE\s+(?:UNIQUE\s+)?(?:VIRTUAL\s+)?(?:TABLE|INDEX|TRIGGER|VIEW)\s+(?:IF\s+NOT\s+EXISTS\s+)?(\w+)", re.MULTILINE
)
_SHADOW = re.compile(r".*_search_(?:data|idx|docsize|config|content)")
_OBJECTS = "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"


def created_names(script: str) -> frozenset[str]:
    """The tables, indexes, triggers and views that a script makes."""
    return frozenset(_CREATED.findall(_COMMENT.sub("", script)))


def objects(connection: sqlite.Connection) -> dict[str, str]:
    """Name and definition of everything in a database but the tables that full-text search keeps for itself."""
    rows = connection.execute(_OBJECTS).fetchall()
    return {name: sql for name, sql in rows if not _SHADOW.fullmatch(name)}


def structure_hash(found: Mapping[str, str], names: Iterable[str]) -> str:
    """A fingerprint of the objects of these names. What users add beside them does not count."""
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(f"{name}\0{found.get(name, '')}\0".encode())
    return digest.hexdigest()


def normal_form(definition: str) -> object:
    """Equal for definitions that mean the same."""
    text = re.sub(r"\bIF\s+NOT\s+EXISTS\b", "", _COMMENT.sub("", definition))
    text = re.sub(r"\s*([(),])\s*", r"\1", " ".join(text.split()))
    if re.match(r"CREATE TABLE", text) and "(" in text:
        head, _, rest = text.partition("(")
        body, _, tail = rest.rpartition(")")
        return head.strip(), frozenset(_split(body)), tail
    return text


def _split(body: str) -> list[str]:
    """At the commas that are in no bracket."""
    parts, depth, start = list[str](), 0, 0
    for place, sign in enumerate(body):
        depth += (sign == "(") - (sign == ")")
        if sign == "," and depth == 0:
            parts.append(body[start:place])
            start = place + 1
    return [*parts, body[start:]]
