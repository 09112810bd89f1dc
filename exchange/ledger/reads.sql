-- What callers may read, always scoped by the caller.

-- name: own_transfer(transfer_id, partner_id)^
-- One transfer as one of its parties sees it.
SELECT r.record, e.stream_seq, e.payload_kind, e.payload, q.payload
FROM record AS r
JOIN stream_entry AS e USING (log_index)
JOIN partner AS p USING (partner_number)
LEFT JOIN request AS q ON q.transfer_id = r.transfer_id
WHERE r.transfer_id = :transfer_id::uuid AND p.partner_id = :partner_id;

-- name: own_stream(partner_id, after_seq, entries_max)
-- The next entries of a partner's stream.
SELECT r.record, e.stream_seq, e.payload_kind, e.payload, q.payload
FROM stream_entry AS e
JOIN partner AS p USING (partner_number)
JOIN record AS r USING (log_index)
LEFT JOIN request AS q ON q.transfer_id = r.transfer_id
WHERE p.partner_id = :partner_id AND e.stream_seq > :after_seq
ORDER BY e.stream_seq LIMIT :entries_max;

-- name: own_stream_end(partner_id)$
SELECT h.last_seq FROM stream_head AS h JOIN partner AS p USING (partner_number) WHERE p.partner_id = :partner_id;

-- name: ensure_request_partitions(now)$
-- Makes the partitions of this month and the next; returns the first moment whose ids are stored.
SELECT ensure_request_partitions(:now);

-- name: claim_audience!
-- The first start gives the database its audience; nothing changes it later.
UPDATE deployment SET audience = :audience WHERE audience IS NULL;

-- name: deployment^
SELECT schema_revision, audience FROM deployment;
