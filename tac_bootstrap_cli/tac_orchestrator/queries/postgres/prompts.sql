-- matching --
-- Those whose id begins with what somebody typed.
SELECT id FROM prompts
WHERE id BETWEEN rpad(replace(:first, '-', ''), 32, '0')::UUID AND rpad(replace(:first, '-', ''), 32, 'f')::UUID
ORDER BY id LIMIT :limit
