-- The prompts whose id begins with what somebody typed.
SELECT id FROM prompts WHERE id >= :first AND id < :last ORDER BY id LIMIT :limit
