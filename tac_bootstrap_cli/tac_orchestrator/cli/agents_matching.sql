-- The agents whose id begins with what somebody typed.
SELECT id FROM agents WHERE id >= :first AND id < :last ORDER BY id LIMIT :limit
