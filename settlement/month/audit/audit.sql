-- What an audit export reads. Long results are read by cursors of the server.

-- name: windows(first, last)
-- The windows of all currencies whose business dates lie in a period.
SELECT window_number, window_id, currency, business_date, state, first_index, first_root, end_index, end_root
FROM settlement_window WHERE business_date BETWEEN :first AND :last ORDER BY window_number;

-- name: head()^
SELECT next_index, frontier FROM head;

-- name: last_about(window_numbers, months, days)$
-- The newest entry that is about these windows, days or months: a statement, a payment or its confirmation, the end of a
-- settlement, an invoice, a confirmed balance, a lock.
SELECT max(found.log_index) FROM (
    SELECT f.log_index FROM entry_fact AS f
    WHERE f.window_number = ANY (:window_numbers)
        OR (f.kind IN ('balance', 'lock', 'reopen') AND f.subject = ANY (:months || :days))
        OR (f.kind = 'invoice' AND split_part(f.subject, '/', 1) = ANY (:months))
    UNION ALL
    SELECT greatest(l.log_index, l.confirmed_index, l.cancelled_index) FROM leg_state AS l
    WHERE l.window_number = ANY (:window_numbers)
    UNION ALL
    SELECT r.log_index
    FROM settlement_window AS w
    JOIN record AS r ON r.entry_key IN ('stated/' || w.window_id, 'settled/' || w.window_id, 'aborted/' || w.window_id)
    WHERE w.window_number = ANY (:window_numbers)
) AS found (log_index);

-- name: entries(begin, finish)
-- Entries of a range of the log.
SELECT log_index, recorded_at, entry_key, record FROM record
WHERE kind = 3 AND log_index >= :begin AND log_index < :finish ORDER BY log_index;

-- name: partners()
SELECT partner_number, partner_id FROM partner ORDER BY partner_number;

-- name: stream(partner_number, after, finish, rows_max)
-- A part of a partner's stream up to a log index.
SELECT stream_seq, payload_kind, payload FROM stream_entry
WHERE partner_number = :partner_number AND stream_seq > :after AND log_index < :finish
ORDER BY stream_seq LIMIT :rows_max;

-- name: records(after, finish, rows_max)
-- A part of the log.
SELECT log_index, kind, recorded_at, transfer_id, entry_key, salt, record, leaf_hash FROM record
WHERE log_index > :after AND log_index < :finish ORDER BY log_index LIMIT :rows_max;

-- name: withholdings(begin, finish, window_numbers)
-- Disputes that were recorded in a range of the log, or that are about lines of these windows.
SELECT d.log_index, d.subject, r.record
FROM entry_fact AS d JOIN record AS r USING (log_index)
WHERE d.kind = 'withholding' AND (
    (d.log_index >= :begin AND d.log_index < :finish)
    OR EXISTS (
        SELECT FROM entry_fact AS l
        WHERE l.log_index = d.log_index AND l.kind = 'disputed-line' AND l.window_number = ANY (:window_numbers)
    )
)
ORDER BY d.log_index;

-- name: disputed_lines(log_index)
-- The lines that an entry disputes.
SELECT DISTINCT subject FROM entry_fact WHERE log_index = :log_index AND kind = 'disputed-line' ORDER BY subject;

-- name: records_of(transfer_id)
-- All records of a transfer or a reversal.
SELECT log_index, kind, record FROM record WHERE transfer_id = :transfer_id ORDER BY log_index;

-- name: papers_of(transfer_id)
-- What the streams of its parties hold of it.
SELECT p.partner_id, s.stream_seq, s.payload_kind, s.payload
FROM record AS r JOIN stream_entry AS s USING (log_index) JOIN partner AS p USING (partner_number)
WHERE r.transfer_id = :transfer_id ORDER BY p.partner_number, s.stream_seq;

-- name: answers_of(transfer_id)
-- What programs answered about it.
SELECT kind, sha256, answered_at, outcome, points, media_type, content, key_id, signature
FROM delivery_answer WHERE instruction_id = :transfer_id ORDER BY answered_at, sha256;
