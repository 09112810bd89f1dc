-- Settlement's entries by what they are about.

-- name: entries_of(kind, currency, partner_number, window_number, subject)
-- The entries with such a fact, in the order of the log; what is NULL is not asked for.
SELECT f.log_index, r.recorded_at, r.entry_key, r.record, f.kind, f.currency, f.partner_number, f.window_number, f.subject
FROM entry_fact AS f JOIN record AS r USING (log_index)
WHERE f.kind = :kind
    AND (:currency::text IS NULL OR f.currency = :currency)
    AND (:partner_number::integer IS NULL OR f.partner_number = :partner_number)
    AND (:window_number::integer IS NULL OR f.window_number = :window_number)
    AND (:subject::text IS NULL OR f.subject = :subject)
ORDER BY f.log_index, f.place;

-- name: newest_entry_of(kind, currency, partner_number, subject)^
-- The newest entry with such a fact.
SELECT f.log_index, r.recorded_at, r.entry_key, r.record, f.kind, f.currency, f.partner_number, f.window_number, f.subject
FROM entry_fact AS f JOIN record AS r USING (log_index)
WHERE f.kind = :kind
    AND f.currency = :currency
    AND (:partner_number::integer IS NULL OR f.partner_number = :partner_number)
    AND (:subject::text IS NULL OR f.subject = :subject)
ORDER BY f.log_index DESC, f.place LIMIT 1;

-- name: open_entries_of(kind, end_kind, currency)
-- The entries with such a fact whose subject has none of the kind that ends it, in the order of the log.
SELECT f.log_index, r.recorded_at, r.entry_key, r.record, f.kind, f.currency, f.partner_number, f.window_number, f.subject
FROM entry_fact AS f JOIN record AS r USING (log_index)
WHERE f.kind = :kind AND f.currency = :currency
    AND NOT EXISTS (SELECT FROM entry_fact AS e WHERE e.kind = :end_kind AND e.subject = f.subject)
ORDER BY f.log_index, f.place;
