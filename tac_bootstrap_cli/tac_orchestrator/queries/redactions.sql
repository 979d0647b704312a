-- count --
-- Adds what a commit has kept out.
INSERT INTO redactions (day, kind, entity, redaction_count) VALUES (:day, :kind, :entity, :redaction_count)
ON CONFLICT (day, kind, entity) DO UPDATE SET redaction_count = redactions.redaction_count + excluded.redaction_count

-- totals --
SELECT kind, SUM(redaction_count) AS redaction_count FROM redactions GROUP BY kind ORDER BY SUM(redaction_count) DESC
