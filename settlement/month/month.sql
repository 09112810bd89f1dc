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
