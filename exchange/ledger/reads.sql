-- What callers may read, always scoped by the caller.

-- name: own_transfer(transfer_id, partner_id)^
-- One transfer as one of its parties sees it: where it was held and decided, as it was decided.
SELECT r.record, e.stream_seq, e.payload_kind, e.payload, q.payload, m.member, coalesce(v.decided_index, w.decided_index) IS NOT NULL,
    coalesce(b.reversed_points, 0)
FROM record AS r
JOIN stream_entry AS e USING (log_index)
JOIN partner AS p USING (partner_number)
LEFT JOIN request AS q ON q.transfer_id = r.transfer_id
LEFT JOIN link_member AS m ON (m.link_id, m.partner_number) = (q.link_id, e.partner_number)
LEFT JOIN review AS v ON v.log_index = e.log_index
LEFT JOIN reservation AS w ON w.log_index = e.log_index
LEFT JOIN reversed_transfer AS b ON b.transfer_id = r.transfer_id
WHERE r.transfer_id = :transfer_id::uuid AND r.kind NOT IN (6, 7, 8) AND p.partner_id = :partner_id
ORDER BY r.log_index DESC LIMIT 1;

-- name: newest_record(transfer_id)$
SELECT record FROM record WHERE transfer_id = :transfer_id::uuid ORDER BY log_index DESC LIMIT 1;

-- name: own_stream(partner_id, after_seq, entries_max)
-- The next entries of a partner's stream.
SELECT r.record, e.stream_seq, e.payload_kind, e.payload, q.payload, m.member, coalesce(v.decided_index, w.decided_index) IS NOT NULL,
    coalesce(b.reversed_points, 0)
FROM stream_entry AS e
JOIN partner AS p USING (partner_number)
JOIN record AS r USING (log_index)
LEFT JOIN request AS q ON q.transfer_id = r.transfer_id
LEFT JOIN link_member AS m ON (m.link_id, m.partner_number) = (q.link_id, e.partner_number)
LEFT JOIN review AS v ON v.log_index = e.log_index
LEFT JOIN reservation AS w ON w.log_index = e.log_index
LEFT JOIN reversed_transfer AS b ON b.transfer_id = r.transfer_id
WHERE p.partner_id = :partner_id AND e.stream_seq > :after_seq
ORDER BY e.stream_seq LIMIT :entries_max;

-- name: own_stream_end(partner_id)$
SELECT h.last_seq FROM stream_head AS h JOIN partner AS p USING (partner_number) WHERE p.partner_id = :partner_id;

-- name: stream_ends(partner_ids)
-- How far the streams of some partners have come.
SELECT p.partner_id, h.last_seq FROM stream_head AS h JOIN partner AS p USING (partner_number)
WHERE p.partner_id = ANY(:partner_ids);

-- name: own_stream_before(partner_id, from_seq, before_seq, entries_max)
-- The newest entries in a range of a partner's stream.
SELECT r.record, e.stream_seq, e.payload_kind, e.payload, q.payload, m.member, coalesce(v.decided_index, w.decided_index) IS NOT NULL,
    coalesce(b.reversed_points, 0)
FROM stream_entry AS e
JOIN partner AS p USING (partner_number)
JOIN record AS r USING (log_index)
LEFT JOIN request AS q ON q.transfer_id = r.transfer_id
LEFT JOIN link_member AS m ON (m.link_id, m.partner_number) = (q.link_id, e.partner_number)
LEFT JOIN review AS v ON v.log_index = e.log_index
LEFT JOIN reservation AS w ON w.log_index = e.log_index
LEFT JOIN reversed_transfer AS b ON b.transfer_id = r.transfer_id
WHERE p.partner_id = :partner_id AND e.stream_seq >= :from_seq AND e.stream_seq < :before_seq
ORDER BY e.stream_seq DESC LIMIT :entries_max;

-- name: own_stream_point(partner_id, stream_seq)^
-- Where in the log a position of a partner's stream is.
SELECT r.log_index, r.recorded_at
FROM stream_entry AS e
JOIN partner AS p USING (partner_number)
JOIN record AS r USING (log_index)
WHERE p.partner_id = :partner_id AND e.stream_seq = :stream_seq;

-- name: window_range(window_id)^
-- The log indexes of a settlement window; an open one has no end.
SELECT first_index, end_index FROM settlement_window WHERE window_id = :window_id;

-- name: held_transfers(after_index, entries_max)
-- The transfers that wait for review, oldest first.
SELECT r.record FROM review AS v JOIN record AS r USING (log_index)
WHERE v.decided_index IS NULL AND v.log_index > :after_index
ORDER BY v.log_index LIMIT :entries_max;

-- name: position(partner_id)^
-- Where a partner stands in its currency: its balances, the nets of its unstated windows, its unconfirmed payments.
SELECT p.partner_id, p.currency, u.scale, -position.floor,
    position.credits_posted - position.debits_posted, position.debits_pending,
    collateral.credits_posted - collateral.debits_posted,
    coalesce((SELECT window_id FROM settlement_window WHERE currency = p.currency AND state = 'OPEN'), ''),
    coalesce(unstated.open, 0)::bigint, coalesce(unstated.closed, 0)::bigint,
    coalesce((
        SELECT sum(l.amount) FROM leg_state AS l JOIN settlement_window AS w USING (window_number)
        WHERE l.partner_number = p.partner_number AND l.confirmed_index IS NULL
            AND w.state IN ('PENDING_SETTLEMENT', 'SETTLED')), 0)::bigint,
    coalesce(position.credits_held, 0)
FROM partner AS p
JOIN unit AS u ON u.name = p.currency
JOIN account AS pa ON pa.unit_number = u.unit_number AND pa.name = p.partner_id || '.position'
JOIN balance AS position ON position.account_number = pa.account_number
JOIN account AS ca ON ca.unit_number = u.unit_number AND ca.name = p.partner_id || '.collateral'
JOIN balance AS collateral ON collateral.account_number = ca.account_number
CROSS JOIN LATERAL (
    SELECT sum(n.net) FILTER (WHERE w.state = 'OPEN') AS open, sum(n.net) FILTER (WHERE w.state = 'CLOSED') AS closed
    FROM settlement_window AS w JOIN window_net AS n USING (window_number)
    WHERE w.currency = p.currency AND w.state IN ('OPEN', 'CLOSED') AND n.party = p.partner_number
) AS unstated
WHERE p.partner_id = :partner_id;

-- name: ensure_request_partitions(now)$
-- Makes the partitions of this month and the next; returns the first moment whose ids are stored.
SELECT ensure_request_partitions(:now);

-- name: claim_audience!
-- The first start gives the database its audience; nothing changes it later.
UPDATE deployment SET audience = :audience WHERE audience IS NULL;

-- name: claim_environment!
-- Likewise what it is for; a database that was claimed before environments had a name gets it at the next start.
UPDATE deployment SET environment = :environment WHERE environment IS NULL;

-- name: environment$
SELECT environment FROM deployment;

-- name: deployment^
SELECT schema_revision, audience FROM deployment;

-- name: orders_with(after, as_source, as_target, orders_max)
-- Stored orders after an id whose bytes hold one of these, in the order of their ids.
SELECT transfer_id::text, payload FROM request
WHERE transfer_id > :after::uuid AND NOT is_reversal
    AND (position(:as_source::bytea IN payload) > 0 OR position(:as_target::bytea IN payload) > 0)
ORDER BY transfer_id LIMIT :orders_max;

-- name: empty_requests$
SELECT empty_requests(:ids::uuid[]);
