-- What is measured only when somebody looks.

-- name: open_window_ages
-- Seconds since each open window began: since the entry before its first was recorded, or its own first one.
SELECT w.currency, extract(epoch FROM now() - r.recorded_at)
FROM settlement_window AS w
JOIN LATERAL (
    SELECT recorded_at FROM record WHERE log_index <= w.first_index ORDER BY log_index DESC LIMIT 1
) AS r ON true
WHERE w.state = 'OPEN';

-- name: started_at$
-- When the database's server was started: another moment is another start.
SELECT pg_postmaster_start_time();
