-- How partners, the operator and the bank stand in the books.

-- name: standings(currency, unit_number, window_number)
-- How each partner of a currency stands in the books at one moment: position, legs that it or the bank has not paid, nets of
-- windows that are not stated, and collateral.
SELECT p.partner_id, position.credits_posted - position.debits_posted,
    coalesce((
        SELECT sum(l.amount) FROM leg_state AS l JOIN settlement_window AS w USING (window_number)
        WHERE l.partner_number = p.partner_number AND w.currency = :currency AND w.window_number < :window_number
            AND l.confirmed_index IS NULL AND l.cancelled_index IS NULL), 0)::bigint,
    coalesce((
        SELECT sum(n.net) FROM window_net AS n JOIN settlement_window AS w USING (window_number)
        WHERE n.party = p.partner_number AND w.currency = :currency AND w.window_number >= :window_number), 0)::bigint,
    collateral.credits_posted - collateral.debits_posted
FROM partner AS p
JOIN balance AS position
    ON position.account_number = (:unit_number::bigint << 20) + 4096 + 2 * p.partner_number
JOIN balance AS collateral
    ON collateral.account_number = (:unit_number::bigint << 20) + 4097 + 2 * p.partner_number
WHERE p.currency = :currency;

-- name: own_stands(promotions, unit_number, currency, window_number)^
-- How the operator stands for the bonuses that it pays: the account, its legs that are not paid, the nets of windows that are
-- not stated, and the net of this one; and what its fees, taxes, rounding and losses come to without those of later windows
-- and without what is on its way out.
SELECT b.credits_posted - b.debits_posted,
    coalesce((
        SELECT sum(l.amount) FROM leg_state AS l JOIN settlement_window AS w USING (window_number)
        WHERE l.partner_number = 0 AND w.currency = :currency AND w.window_number < :window_number
            AND l.confirmed_index IS NULL AND l.cancelled_index IS NULL), 0)::bigint,
    coalesce(sum(s.amount), 0)::bigint, coalesce(sum(s.amount) FILTER (WHERE s.window_number = :window_number), 0)::bigint,
    (coalesce((
        SELECT sum(o.credits_posted - o.debits_posted - o.debits_pending) FROM balance AS o
        -- All of the operator's own but the bank's two, suspense, which is nobody's yet, and this one.
        WHERE o.account_number BETWEEN :unit_number::bigint << 20 AND (:unit_number::bigint << 20) + 4095
            AND o.account_number & 1048575 NOT IN (1, 2, 6) AND o.account_number <> :promotions), 0)
    - coalesce((
        SELECT sum(later.amount) FROM window_sum AS later JOIN settlement_window AS w USING (window_number)
        WHERE w.currency = :currency AND w.window_number > :window_number AND later.party = 0
            AND later.code NOT IN (6, 14, 18, 19, 20, 21, 22)), 0))::bigint
FROM balance AS b
LEFT JOIN settlement_window AS w ON w.currency = :currency AND w.window_number >= :window_number
-- Bonuses, and what reversals gave back of them.
LEFT JOIN window_sum AS s ON s.window_number = w.window_number AND s.party = 0 AND s.code IN (6, 14)
WHERE b.account_number = :promotions
GROUP BY b.account_number;

-- name: reserved_at(unit_number, end_index)
-- What each partner had reserved before a log index and that was decided at or after it.
SELECT p.partner_id, sum(h.amount)::bigint
FROM (
    SELECT hold_index FROM reservation WHERE decided_index IS NULL AND log_index < :end_index
    UNION
    SELECT hold_index FROM reservation WHERE decided_index >= :end_index AND log_index < :end_index
    UNION
    SELECT log_index FROM review WHERE decided_index IS NULL AND log_index < :end_index
    UNION
    SELECT log_index FROM review WHERE decided_index >= :end_index AND log_index < :end_index
) AS waiting
JOIN posting AS h ON h.log_index = waiting.hold_index AND h.phase = 2
JOIN partner AS p ON p.partner_number = ((h.debit & 1048575) - 4096) >> 1
WHERE h.debit >> 20 = :unit_number AND h.debit & 1048575 >= 4096
GROUP BY p.partner_id;

-- name: bank_balances(bank, suspense)^
-- The bank's mirror and suspense of a currency: posted, pending credits of the mirror, and suspense without what is on its
-- way back, which is among those credits already.
SELECT bank.credits_posted - bank.debits_posted, bank.credits_pending,
    suspense.credits_posted - suspense.debits_posted - suspense.debits_pending
FROM balance AS bank, balance AS suspense
WHERE bank.account_number = :bank AND suspense.account_number = :suspense;

-- name: restraints_of_partners(kind)
-- Limits or switches of partners, as their leaves state them.
SELECT body FROM restraint WHERE kind = :kind AND starts_with(subject, 'partner/');
