-- What waits of a brand's points for a window to be acknowledged.

-- name: holdings(partner_number, window_number, kind)
-- Each program's balances, and what the windows count that its brand has not acknowledged.
WITH waiting AS (
    SELECT w.window_number
    FROM settlement_window AS w JOIN partner AS p USING (currency)
    WHERE p.partner_number = :partner_number AND w.window_number <> :window_number AND NOT EXISTS (
        SELECT FROM entry_fact AS f
        WHERE f.window_number = w.window_number AND f.kind = :kind AND f.partner_number = p.partner_number)
), counted AS (
    SELECT unit_number,
        sum(CASE code WHEN 1 THEN points WHEN 9 THEN -points ELSE 0 END) AS out_points,
        sum(CASE WHEN code IN (2, 3) THEN points WHEN code IN (10, 11) THEN -points ELSE 0 END) AS in_points
    FROM window_points JOIN waiting USING (window_number)
    GROUP BY unit_number
)
SELECT g.unit_number, r.credits_posted - r.debits_posted, d.debits_posted - d.credits_posted,
    coalesce(c.out_points, 0)::bigint, coalesce(c.in_points, 0)::bigint
FROM program AS g
JOIN balance AS r ON r.account_number = (g.unit_number::bigint << 20) + 3
JOIN balance AS d ON d.account_number = (g.unit_number::bigint << 20) + 4
LEFT JOIN counted AS c USING (unit_number)
WHERE g.partner_number = :partner_number
ORDER BY g.place;
