-- What the calendar asks for.

-- name: standings(kind)
-- The newest scheme of every currency, and its open window.
SELECT r.record, w.window_id, w.business_date
FROM (
    SELECT DISTINCT ON (currency) currency, log_index FROM entry_fact WHERE kind = :kind ORDER BY currency, log_index DESC
) AS s
JOIN record AS r USING (log_index)
LEFT JOIN settlement_window AS w ON w.currency = s.currency AND w.state = 'OPEN'
ORDER BY s.currency;

-- name: clock()$
-- The database's clock.
SELECT clock_timestamp();
