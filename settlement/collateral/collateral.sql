-- What is read of partners' collateral.

-- name: depositors(partner_id)
-- A partner, or all.
SELECT p.partner_number, p.partner_id, p.currency, u.unit_number
FROM partner AS p JOIN unit AS u ON u.name = p.currency
WHERE :partner_id::text IS NULL OR p.partner_id = :partner_id
ORDER BY p.partner_id;

-- name: balances(collateral, position)^
-- A partner's collateral and what of its position counts against it: both balances as the books decide by them.
SELECT c.debits_pending, c.debits_posted, c.credits_pending, c.credits_posted, c.floor, c.ceiling, c.credits_held,
    p.debits_pending, p.debits_posted, p.credits_pending, p.credits_posted, p.floor, p.ceiling, p.credits_held
FROM balance AS c, balance AS p WHERE c.account_number = :collateral AND p.account_number = :position;

-- name: movements(currency, partner_number, kinds)
-- What the bank's files and what was recorded for them say of a partner's collateral: each with the posting that it is about,
-- and whether the bank has made it or it was taken back.
SELECT f.kind, f.subject, r.entry_key, f.log_index, r.recorded_at, p.code, p.amount, p.phase, done.phase
FROM entry_fact AS f
JOIN record AS r USING (log_index)
JOIN posting AS p USING (log_index, place)
LEFT JOIN posting AS done ON done.resolves_index = p.log_index AND done.resolves_place = p.place
WHERE f.kind = ANY (:kinds) AND f.currency = :currency AND f.partner_number = :partner_number
ORDER BY f.log_index, f.place;
