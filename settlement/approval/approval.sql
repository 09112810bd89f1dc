-- What disputes are about, and what is not accepted yet.

-- name: line_amounts(line_id)
-- What a committed transfer or a reversal moved between partners, by the log index and window that count it.
SELECT r.log_index, w.window_id, w.window_number, w.currency, payer.partner_id, payee.partner_id, q.amount
FROM record AS r
JOIN posting AS q USING (log_index)
JOIN settlement_window AS w USING (window_number)
JOIN partner AS payer ON payer.partner_number = ((q.debit & 1048575) - 4096) >> 1
JOIN partner AS payee ON payee.partner_number = ((q.credit & 1048575) - 4096) >> 1
WHERE r.transfer_id = :line_id::uuid AND r.kind IN (1, 6) AND q.phase IN (1, 3)
    AND q.code IN (4, 5, 6, 12, 13, 14) AND q.debit & 1048575 >= 4096 AND q.credit & 1048575 >= 4096
ORDER BY q.place;

-- name: papers_of_line(line_id)
-- What the streams of its parties hold of a transfer or reversal.
SELECT p.partner_id, s.stream_seq, s.payload_kind, s.payload
FROM record AS r JOIN stream_entry AS s USING (log_index) JOIN partner AS p USING (partner_number)
WHERE r.transfer_id = :line_id::uuid ORDER BY p.partner_number, s.stream_seq;

-- name: currencies_unaccepted()
-- The currencies with stated windows of which not all statements are accepted.
SELECT DISTINCT w.currency FROM settlement_window AS w
WHERE w.state = 'PENDING_SETTLEMENT'
    AND NOT EXISTS (SELECT FROM entry_fact AS f WHERE f.window_number = w.window_number AND f.kind = 'payable');
