-- What the month reads.

-- name: windows_of(currency, first, last)
-- The windows of a currency whose business dates lie in a period, in their order.
SELECT window_id, state FROM settlement_window
WHERE currency = :currency AND business_date BETWEEN :first AND :last
ORDER BY business_date;

-- name: is_over(currency, last)$
-- Whether a window of a later day was opened.
SELECT EXISTS (SELECT FROM settlement_window WHERE currency = :currency AND business_date > :last);

-- name: partners_of(currency)
SELECT partner_number, partner_id, legal_name FROM partner WHERE currency = :currency ORDER BY partner_number;

-- name: program_owners()
SELECT g.program_id, p.partner_id FROM program AS g JOIN partner AS p USING (partner_number);

-- name: tax_rates()
SELECT tax_code, effective_from, basis_points FROM tax_rate ORDER BY tax_code, effective_from;

-- name: transfers(transfer_ids)
-- The records of committed transfers.
SELECT transfer_id, recorded_at, record FROM record WHERE transfer_id = ANY (:transfer_ids::uuid[]) AND kind = 1;

-- name: business_dates(window_ids)
SELECT window_id, business_date FROM settlement_window WHERE window_id = ANY (:window_ids);

-- name: last_numbers()
-- How many documents each series has: it has no gap.
SELECT subject, count(*) FROM entry_fact WHERE kind = 'invoice-number' GROUP BY subject;

-- name: entry(entry_key)^
-- An entry's record.
SELECT log_index, recorded_at, record FROM record WHERE entry_key = :entry_key;

-- name: balance_figures(partner_id, currency, first, last)^
-- Position before a month, its net, its payments, and collateral at its end: all from the sums of closed windows.
SELECT coalesce(sum(s.amount) FILTER (WHERE w.business_date < :first AND s.code NOT IN (21, 22)), 0)::bigint,
    coalesce(sum(s.amount) FILTER (WHERE w.business_date >= :first AND s.code NOT IN (18, 19, 20, 21, 22)), 0)::bigint,
    coalesce(sum(s.amount) FILTER (WHERE w.business_date >= :first AND s.code IN (18, 19, 20)), 0)::bigint,
    coalesce(sum(s.amount) FILTER (WHERE s.code IN (21, 22)), 0)::bigint
FROM partner AS p
JOIN window_sum AS s ON s.party = p.partner_number
JOIN settlement_window AS w USING (window_number)
WHERE p.partner_id = :partner_id AND w.currency = :currency AND w.business_date <= :last;

-- name: balance_points(partner_id, first, last)
-- Points out and in of a partner's programs in a month, reversals deducted.
SELECT g.program_id,
    coalesce(sum(CASE s.code WHEN 1 THEN s.points WHEN 9 THEN -s.points END), 0)::bigint,
    coalesce(sum(CASE WHEN s.code IN (2, 3) THEN s.points WHEN s.code IN (10, 11) THEN -s.points END), 0)::bigint
FROM partner AS p
JOIN program AS g USING (partner_number)
JOIN settlement_window AS w ON w.currency = p.currency AND w.business_date BETWEEN :first AND :last
LEFT JOIN window_points AS s ON s.window_number = w.window_number AND s.unit_number = g.unit_number
WHERE p.partner_id = :partner_id
GROUP BY g.program_id, g.place ORDER BY g.place;

-- name: open_payments(partner_id, end_index)
-- A partner's legs that were recorded before a log index, and neither confirmed nor cancelled before it, oldest first.
SELECT w.window_id, l.reference, l.amount
FROM leg_state AS l JOIN settlement_window AS w USING (window_number) JOIN partner AS p USING (partner_number)
WHERE p.partner_id = :partner_id AND l.log_index < :end_index
    AND (l.confirmed_index IS NULL OR l.confirmed_index >= :end_index)
    AND (l.cancelled_index IS NULL OR l.cancelled_index >= :end_index)
ORDER BY l.log_index;

-- name: unpaid_legs(currency)
-- Legs that are neither confirmed nor cancelled, oldest first.
SELECT p.partner_id, w.window_id, l.reference, l.amount, w.business_date
FROM leg_state AS l JOIN settlement_window AS w USING (window_number) JOIN partner AS p USING (partner_number)
WHERE w.currency = :currency AND l.confirmed_index IS NULL AND l.cancelled_index IS NULL
ORDER BY w.business_date, p.partner_number, l.version;

-- name: positions(currency)
-- Partners with their positions as the books stand.
SELECT p.partner_number, p.partner_id, b.credits_posted - b.debits_posted
FROM partner AS p
JOIN unit AS u ON u.name = p.currency
JOIN balance AS b ON b.account_number = (u.unit_number::bigint << 20) + 4096 + 2 * p.partner_number
WHERE p.currency = :currency ORDER BY p.partner_number;

-- name: nets_of(partner_number, currency)
-- A partner's nets by business date, newest first.
SELECT w.business_date, n.net
FROM window_net AS n JOIN settlement_window AS w USING (window_number)
WHERE n.party = :partner_number AND w.currency = :currency
ORDER BY w.business_date DESC;

-- name: accruals(currency, first, last)
-- Sums of the windows of a period that are not stated.
SELECT w.window_id, p.partner_id, coalesce(c.partner_id, 'hub'), s.code, coalesce(t.tax_code, ''), s.amount
FROM window_sum AS s
JOIN settlement_window AS w USING (window_number)
JOIN partner AS p ON p.partner_number = s.party
LEFT JOIN partner AS c ON c.partner_number = s.counterparty
LEFT JOIN tax AS t ON t.tax_number = s.tax_number AND s.code IN (8, 16)
WHERE w.currency = :currency AND w.business_date BETWEEN :first AND :last AND w.state IN ('OPEN', 'CLOSED')
    AND s.code NOT IN (18, 19, 20, 21, 22) AND s.amount <> 0
ORDER BY w.business_date, p.partner_number, s.counterparty, s.code, s.tax_number;

-- name: promotion_budgets(currency)
-- Promotions with what they granted, and who signed for them.
SELECT b.agreement_id, b.version, b.promotion_id, b.budget_points, b.granted_points, a.signatories
FROM promotion AS b
JOIN agreement_force AS f USING (agreement_id, version)
JOIN agreement AS a USING (agreement_id, version, round)
JOIN partner AS p ON p.partner_id = a.target_partner
WHERE p.currency = :currency
ORDER BY b.agreement_id, b.version, b.promotion_id;

-- name: open_disputes(currency)$
-- Lines withheld in dispute, and partners taken out, that nobody has decided.
SELECT count(*) FROM entry_fact AS f
WHERE f.kind = 'withholding' AND f.currency = :currency AND NOT EXISTS (
    SELECT FROM entry_fact AS e WHERE e.kind = 'withholding-end' AND e.currency = f.currency AND e.subject = f.subject
);

-- name: open_breaks(currency, first, last)$
-- Differences of partners' own files in a period that nobody has explained or resolved.
SELECT count(*) FROM recon_break AS b JOIN settlement_window AS w USING (window_number)
WHERE w.currency = :currency AND w.business_date BETWEEN :first AND :last AND b.state = 'OPEN';

-- name: day_related_to(relates_to, parties, bank_kinds)$
-- The business date of a window, of a dispute's earliest line, of a break of one of these partners, of a payment that a window
-- asks for or makes; or of the window in which the bank's entry of this name, or an adjustment, was booked.
SELECT min(found.day) FROM (
    SELECT w.business_date FROM settlement_window AS w WHERE w.window_id = :relates_to
    UNION ALL
    SELECT w.business_date
    FROM entry_fact AS d
    JOIN entry_fact AS l USING (log_index)
    JOIN settlement_window AS w ON w.window_number = l.window_number
    WHERE d.kind = 'withholding' AND d.subject IN (:relates_to, 'dispute/' || :relates_to) AND l.kind = 'disputed-line'
    UNION ALL
    SELECT w.business_date
    FROM recon_break AS b JOIN settlement_window AS w USING (window_number) JOIN partner AS p USING (partner_number)
    WHERE 'B' || b.break_number = :relates_to AND p.partner_id = ANY (:parties)
    UNION ALL
    SELECT w.business_date FROM leg JOIN settlement_window AS w USING (window_number) WHERE leg.reference = :relates_to
    UNION ALL
    SELECT w.business_date
    FROM entry_fact AS f
    JOIN settlement_window AS w
        ON w.currency = f.currency AND f.log_index >= w.first_index AND (w.end_index IS NULL OR f.log_index < w.end_index)
    WHERE f.kind = ANY (:bank_kinds) AND f.subject = :relates_to
    UNION ALL
    SELECT w.business_date
    FROM record AS r
    JOIN posting AS p USING (log_index)
    JOIN settlement_window AS w USING (window_number)
    WHERE r.entry_key = 'adjustment/' || :relates_to
) AS found (day);

-- name: committed(transfer_id)^
-- The record of a transfer or a reversal that was committed.
SELECT kind, record FROM record WHERE transfer_id = :transfer_id AND kind IN (1, 6);
