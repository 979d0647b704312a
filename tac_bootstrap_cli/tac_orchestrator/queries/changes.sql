-- after --
-- What was committed after this one, in order.
SELECT changes.* FROM changes WHERE id > :id ORDER BY id LIMIT :limit

-- ends --
-- The oldest that is kept, and the newest.
SELECT (SELECT MIN(id) FROM changes) AS first, (SELECT MAX(id) FROM changes) AS last

-- trim --
DELETE FROM changes WHERE id <= (SELECT MAX(id) FROM changes) - :keep
