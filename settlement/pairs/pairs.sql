-- What is between pairs of partners.

-- name: pairs_since(currency, window_number)$
-- Where the first window begins that partners settled between them and that is followed by no other kind before this one.
SELECT min(w.first_index)
FROM entry_fact AS f JOIN settlement_window AS w USING (window_number)
WHERE f.kind = 'pairs' AND f.currency = :currency AND f.window_number < :window_number
    AND f.window_number > coalesce((
        SELECT max(a.window_number) FROM entry_fact AS a
        WHERE a.kind = 'approved' AND a.currency = :currency AND a.window_number < :window_number
            AND NOT EXISTS (SELECT FROM entry_fact AS p WHERE p.kind = 'pairs' AND p.window_number = a.window_number)), 0);

-- name: pair_sums(currency, since_index, window_number)
-- By pair, as the first of the two sees it: nets of the windows before this one, its net, and what they have paid each other
-- for windows since then, whenever that was.
WITH counted AS (
    SELECT s.party, s.counterparty,
        CASE WHEN w.window_number < :window_number THEN s.amount ELSE 0 END AS before,
        CASE WHEN w.window_number = :window_number THEN s.amount ELSE 0 END AS net, 0::bigint AS paid
    FROM window_sum AS s JOIN settlement_window AS w USING (window_number)
    WHERE w.currency = :currency AND w.first_index >= :since_index AND w.window_number <= :window_number
        AND s.party > 0 AND s.counterparty > s.party AND s.code NOT IN (18, 19, 20, 21, 22)
    UNION ALL
    SELECT least(m.payer, m.payee), greatest(m.payer, m.payee), 0, 0, CASE WHEN m.payee < m.payer THEN -m.amount ELSE m.amount END
    FROM (
        SELECT ((p.debit & 1048575)::integer - 4096) >> 1 AS payee, ((p.credit & 1048575)::integer - 4096) >> 1 AS payer, p.amount
        FROM entry_fact AS f
        JOIN settlement_window AS w USING (window_number)
        JOIN posting AS p ON p.log_index = f.log_index
        WHERE f.kind = 'pair-confirmed' AND f.currency = :currency AND w.first_index >= :since_index AND p.code = 19
    ) AS m
)
SELECT party, counterparty, sum(before)::bigint, sum(net)::bigint, sum(paid)::bigint
FROM counted GROUP BY party, counterparty ORDER BY party, counterparty;

-- name: unsettled_window(currency)$
-- The oldest window that partners settle between them and that has not ended.
SELECT w.window_id
FROM entry_fact AS f JOIN settlement_window AS w USING (window_number)
WHERE f.kind = 'pairs' AND f.currency = :currency AND w.state NOT IN ('SETTLED', 'ABORTED')
ORDER BY w.window_number LIMIT 1;
