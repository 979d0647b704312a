-- changes_after --
-- As far as all transactions have ended: one that has not may still add something before what others have added.
SELECT changes.xid::TEXT || '.' || changes.id || '.' || rows.place AS position, changes.entity, changes.operation, rows.row_id
FROM changes CROSS JOIN LATERAL unnest(changes.row_ids) WITH ORDINALITY AS rows (row_id, place)
WHERE (changes.xid, changes.id)
        >= (split_part(:position, '.', 1)::XID8, split_part(:position, '.', 2)::BIGINT)
  AND (changes.xid, changes.id, rows.place)
        > (split_part(:position, '.', 1)::XID8, split_part(:position, '.', 2)::BIGINT, split_part(:position, '.', 3)::BIGINT)
  AND changes.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY changes.xid, changes.id, rows.place LIMIT :limit

-- agent_logs_after --
-- New logs are in the feed like everything else.

-- system_logs_after --

-- last --
SELECT pg_snapshot_xmin(pg_current_snapshot())::TEXT || '.0.0' AS position

-- gone --
-- Whether something behind this position was trimmed, or the position is of another server's life.
SELECT 1 AS gone
WHERE EXISTS (
    SELECT 1 FROM feed_trimmed
    WHERE (xid, id) > (split_part(:position, '.', 1)::XID8, split_part(:position, '.', 2)::BIGINT)
      AND xid < pg_snapshot_xmax(pg_current_snapshot())
) OR split_part(:position, '.', 1)::XID8 > pg_snapshot_xmax(pg_current_snapshot())

-- trim --
-- The oldest, and what a backup has brought along from another server, whose transactions had other numbers.
WITH gone AS (
    DELETE FROM changes
    WHERE (xid, id) <= (
        SELECT xid, id FROM changes WHERE xid < pg_snapshot_xmax(pg_current_snapshot()) ORDER BY xid DESC, id DESC
        OFFSET :keep LIMIT 1
    ) OR xid > pg_snapshot_xmax(pg_current_snapshot())
    RETURNING xid, id
)
INSERT INTO feed_trimmed (xid, id)
SELECT xid, id FROM gone WHERE xid < pg_snapshot_xmax(pg_current_snapshot()) ORDER BY xid DESC, id DESC LIMIT 1
