-- What is read of the operator's own money.

-- name: accounts(unit_number)
-- The operator's accounts of a currency but the bank's two and suspense, which is nobody's yet: number, name, what is posted,
-- and what is on its way out, or in where it is negative.
SELECT a.account_number, a.name, b.credits_posted - b.debits_posted, b.debits_pending - b.credits_pending
FROM balance AS b JOIN account AS a USING (account_number)
WHERE a.account_number >> 20 = :unit_number AND a.account_number & 1048575 < 4096 AND a.account_number & 1048575 NOT IN (1, 2, 6)
ORDER BY a.account_number;

-- name: awaited(currency)$
-- What creditors of stated windows are to be paid and what has not been recorded.
SELECT coalesce(sum(l.amount), 0)::bigint
FROM leg_state AS l JOIN settlement_window AS w USING (window_number)
WHERE w.currency = :currency AND w.state = 'PENDING_SETTLEMENT' AND l.amount > 0 AND l.log_index IS NULL
    AND l.cancelled_index IS NULL;

-- name: withdrawals(currency)
-- What was asked for, oldest first, and by what it was resolved.
SELECT f.log_index, r.recorded_at, r.record, done.phase
FROM entry_fact AS f
JOIN record AS r USING (log_index)
LEFT JOIN posting AS done ON done.resolves_index = f.log_index AND done.resolves_place = 0
WHERE f.kind = 'own-withdrawal' AND f.currency = :currency
ORDER BY f.log_index;
