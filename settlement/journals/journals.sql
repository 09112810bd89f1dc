-- What is read of journals that finance booked by hand.

-- name: parties(currency)
-- The partners that settle in a currency, with its number.
SELECT p.partner_id, p.partner_number, u.unit_number FROM unit AS u LEFT JOIN partner AS p ON p.currency = u.name
WHERE u.name = :currency AND NOT starts_with(u.name, 'PTS:');

-- name: journals(currency, partner_id, relates_to)
-- Journals, oldest first; what is NULL is not asked for.
SELECT r.log_index, r.recorded_at, r.record, w.window_id
FROM entry_fact AS f
JOIN record AS r USING (log_index)
JOIN posting AS p ON p.log_index = f.log_index AND p.place = 0
JOIN settlement_window AS w ON w.window_number = p.window_number
WHERE f.kind = 'adjustment-relates-to'
    AND (:currency::text IS NULL OR f.currency = :currency)
    AND (:relates_to::text IS NULL OR f.subject = :relates_to)
    AND (:partner_id::text IS NULL OR EXISTS (
        SELECT FROM entry_fact AS of JOIN partner USING (partner_number)
        WHERE of.log_index = f.log_index AND of.kind = 'adjustment' AND partner_id = :partner_id))
ORDER BY f.log_index;

-- name: journal(entry_key)^
-- The journal of an entry key.
SELECT r.log_index, r.recorded_at, r.record, w.window_id
FROM record AS r
JOIN posting AS p ON p.log_index = r.log_index AND p.place = 0
JOIN settlement_window AS w ON w.window_number = p.window_number
WHERE r.entry_key = :entry_key;
