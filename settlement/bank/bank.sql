-- What is read of the bank's files, of what waits for the bank, and of suspense.

-- name: mirror_posted(account_number)$
-- Posted balance of an account.
SELECT credits_posted - debits_posted FROM balance WHERE account_number = :account_number;

-- name: pending_payments(bank)
-- What was recorded on a mirror and is neither confirmed nor voided, oldest first.
SELECT r.entry_key, p.log_index, p.place, p.code, p.debit, p.credit, p.amount
FROM posting AS p JOIN record AS r USING (log_index)
WHERE p.phase = 2 AND p.code BETWEEN 18 AND 22 AND :bank IN (p.debit, p.credit)
    AND NOT EXISTS (SELECT FROM posting AS done WHERE done.resolves_index = p.log_index AND done.resolves_place = p.place)
ORDER BY p.log_index, p.place;

-- name: last_file(prefix)^
-- The record of the bank file imported last for an account, by its prefix of entry keys.
SELECT record FROM record WHERE entry_key >= :prefix AND entry_key < :prefix || chr(1114111) ORDER BY log_index DESC LIMIT 1;

-- name: entries_seen(kinds, currency, subjects)
-- Which of these entries of the bank were booked before, and in which file.
SELECT f.subject, r.entry_key FROM entry_fact AS f JOIN record AS r USING (log_index)
WHERE f.kind = ANY (:kinds) AND f.currency = :currency AND f.subject = ANY (:subjects)
ORDER BY f.log_index, f.place;

-- name: suspense_items(currency)
-- Every item that lies or lay in suspense, oldest first, with what of it is still there.
SELECT f.log_index, f.place, f.subject, f.partner_number, r.recorded_at, r.record, p.amount,
    p.amount - coalesce(u.used, 0)
FROM entry_fact AS f
JOIN posting AS p USING (log_index, place)
JOIN record AS r USING (log_index)
LEFT JOIN LATERAL (
    SELECT sum(up.amount)::bigint AS used
    FROM entry_fact AS uf JOIN posting AS up USING (log_index, place)
    WHERE uf.kind = 'suspense_use' AND uf.currency = f.currency AND uf.subject = f.subject
) AS u ON true
WHERE f.kind = 'suspense' AND f.currency = :currency AND p.amount > coalesce(u.used, 0)
ORDER BY f.log_index, f.place;

-- name: partners(currency)
-- Number and id of every partner that settles in a currency.
SELECT partner_number, partner_id FROM partner WHERE currency = :currency ORDER BY partner_number;

-- name: statements_seen(currency, subjects)
-- Which of these statements were imported before.
SELECT subject FROM entry_fact WHERE kind = 'bank_file' AND currency = :currency AND subject = ANY (:subjects);

-- name: item_place(currency, item_id)^
-- Where an item of suspense was booked.
SELECT log_index, place FROM entry_fact WHERE kind = 'suspense' AND currency = :currency AND subject = :item_id;

-- name: newest_files(currency, files_max)
-- The files that were imported last, newest first. Files with several statements have several facts.
SELECT log_index, recorded_at, entry_key, record FROM record
WHERE log_index IN (SELECT f.log_index FROM entry_fact AS f WHERE f.kind = 'bank_file' AND f.currency = :currency)
ORDER BY log_index DESC LIMIT :files_max;
