-- count --
-- How many there are: what has been added by each recorder.
SELECT COALESCE(SUM(log_count), 0) AS log_count FROM log_counts WHERE entity = 'system_log'

-- uncounted --
-- All are counted when they are added.

-- note_count --
