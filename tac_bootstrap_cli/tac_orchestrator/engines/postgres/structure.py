"""What a schema is made of, told in a way that does not depend on how it came about, nor on where it lies."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping

from tac_orchestrator.engines.postgres.driver import Connection

# Everything in the schema that new tables go to, but for what extensions have put there. The order of columns does not count.
_OBJECTS = """
    WITH place AS (SELECT current_schema()::REGNAMESPACE AS schema),
    relations AS (
        SELECT pg_class.oid, relname, relkind FROM pg_class, place
        WHERE relnamespace = place.schema AND relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT EXISTS (
            SELECT 1 FROM pg_depend WHERE classid = 'pg_class'::REGCLASS AND objid = pg_class.oid AND deptype = 'e')
    )
    SELECT relname AS name, 'TABLE ' || string_agg(part, ', ' ORDER BY part) AS definition
    FROM relations CROSS JOIN LATERAL (
        SELECT attname || ' ' || format_type(atttypid, atttypmod)
            || CASE WHEN attcollation NOT IN (0, 100) THEN ' COLLATE ' || attcollation::REGCOLLATION ELSE '' END
            || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END || CASE WHEN attidentity <> '' THEN ' IDENTITY' ELSE '' END
            || COALESCE(' DEFAULT ' || pg_get_expr(adbin, adrelid), '') AS part
        FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attrelid = relations.oid AND attnum > 0 AND NOT attisdropped
        UNION ALL
        SELECT pg_get_constraintdef(pg_constraint.oid) FROM pg_constraint
        WHERE conrelid = relations.oid AND contype IN ('c', 'f', 'p', 'u', 'x')
    ) AS parts
    WHERE relkind IN ('r', 'p', 'f') GROUP BY relname
    UNION ALL
    SELECT relname, 'VIEW ' || pg_get_viewdef(oid) FROM relations WHERE relkind IN ('v', 'm')
    UNION ALL
    SELECT pg_class.relname, 'INDEX ' || pg_get_indexdef(indexrelid)
    FROM pg_index JOIN relations ON relations.oid = indrelid JOIN pg_class ON pg_class.oid = indexrelid
    WHERE NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = indexrelid)
    UNION ALL
    SELECT tgname, 'TRIGGER ' || pg_get_triggerdef(pg_trigger.oid) || ' ' || tgenabled::TEXT
    FROM pg_trigger JOIN relations ON relations.oid = tgrelid WHERE NOT tgisinternal
    UNION ALL
    SELECT proname || '()', 'FUNCTION ' || pg_get_function_arguments(pg_proc.oid) || ' ' || provolatile::TEXT || ' ' || prosrc
    FROM pg_proc, place
    WHERE pronamespace = place.schema AND prokind = 'f' AND NOT EXISTS (
        SELECT 1 FROM pg_depend WHERE classid = 'pg_proc'::REGCLASS AND objid = pg_proc.oid AND deptype = 'e')
"""
_COMMENT = re.compile(r"--[^\n]*")
_CREATED = re.compile(
    r"^CREATE\s+(?:OR\s+REPLACE\s+)?(?:UNIQUE\s+)?(TABLE|INDEX|TRIGGER|VIEW|FUNCTION)\s+(?:IF\s+NOT\s+EXISTS\s+)?(\w+)",
    re.MULTILINE,
)


def created_names(script: str) -> frozenset[str]:
    """The tables, indexes, triggers, views and functions that a script makes."""
    return frozenset(f"{name}()" if kind == "FUNCTION" else name for kind, name in _CREATED.findall(_COMMENT.sub("", script)))


async def objects(connection: Connection) -> dict[str, str]:
    """Name and definition of everything in the current schema."""
    rows = await connection.fetch(_OBJECTS)
    schema = await connection.fetchval("SELECT quote_ident(current_schema())")
    return {row["name"]: row["definition"].replace(f"{schema}.", "") for row in rows}


def structure_hash(found: Mapping[str, str], names: Iterable[str]) -> str:
    """A fingerprint of the objects of these names. What users add beside them does not count."""
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(f"{name}\0{found.get(name, '')}\0".encode())
    return digest.hexdigest()
