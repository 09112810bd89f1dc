-- What reconciliation reads of the books, and its own tables, which hold no value.

-- name: partner_named(partner_id)^
-- A partner with its currency and its programs.
SELECT p.partner_number, p.currency,
    ARRAY(SELECT g.program_id FROM program AS g WHERE g.partner_number = p.partner_number ORDER BY g.place)
FROM partner AS p WHERE p.partner_id = :partner_id;

-- name: take_turn(partner_number)$
-- One process at a time writes a partner's breaks; held until the transaction ends.
SELECT pg_advisory_xact_lock(7037, :partner_number);

-- name: newest_mapping(partner_number)^
SELECT version, body, set_at FROM recon_mapping WHERE partner_number = :partner_number ORDER BY version DESC LIMIT 1;

-- name: keep_mapping(partner_number, version, body, now)!
INSERT INTO recon_mapping (partner_number, version, body, set_at) VALUES (:partner_number, :version, :body, :now);

-- name: received(partner_number, sha256)$
-- How much of a file is here.
SELECT coalesce(max(chunk_offset + length(content)), 0)::bigint FROM recon_chunk
WHERE partner_number = :partner_number AND file_sha256 = :sha256;

-- name: keep_chunk(partner_number, sha256, chunk_offset, content, now)!
INSERT INTO recon_chunk (partner_number, file_sha256, chunk_offset, content, came_at)
VALUES (:partner_number, :sha256, :chunk_offset, :content, :now)
ON CONFLICT DO NOTHING;

-- name: chunk_from(partner_number, sha256, chunk_offset)$
SELECT content FROM recon_chunk
WHERE partner_number = :partner_number AND file_sha256 = :sha256 AND chunk_offset = :chunk_offset;

-- name: drop_other_chunks(partner_number, sha256)!
-- A partner brings one file at a time.
DELETE FROM recon_chunk WHERE partner_number = :partner_number AND file_sha256 <> :sha256;

-- name: drop_chunks(partner_number, sha256)!
DELETE FROM recon_chunk WHERE partner_number = :partner_number AND file_sha256 = :sha256;

-- name: newest_stated(currency)$
-- The newest window of a currency that was stated.
SELECT window_id FROM settlement_window
WHERE currency = :currency AND state IN ('PENDING_SETTLEMENT', 'SETTLED', 'ABORTED')
ORDER BY window_number DESC LIMIT 1;

-- name: closed_at(window_id)$
SELECT recorded_at FROM record WHERE entry_key = 'close/' || :window_id;

-- name: next_window(currency, window_number)$
SELECT window_id FROM settlement_window
WHERE currency = :currency AND window_number > :window_number ORDER BY window_number LIMIT 1;

-- name: recorded_between(first_index, end_index)^
-- Time of the first and of the last leaf of a range.
SELECT (SELECT recorded_at FROM record WHERE log_index = :first_index),
    (SELECT recorded_at FROM record WHERE log_index = :end_index - 1);

-- name: first_stream_entries(partner_number, first_index, end_index, entries_max)^
-- The first positions of a partner's stream from a log index on.
SELECT min(stream_seq), max(stream_seq) FROM (
    SELECT stream_seq FROM stream_entry
    WHERE partner_number = :partner_number AND log_index >= :first_index AND log_index < :end_index
    ORDER BY stream_seq LIMIT :entries_max
) AS found;

-- name: member_secret()$
SELECT secret FROM member_secret;

-- name: partner_orders(partner_number, first_index, end_index)
-- The orders behind a partner's papers of a range, and its own member of the link that an order names. For COPY.
SELECT s.log_index, s.payload_kind, encode(q.payload, 'hex'), coalesce(m.member, '')
FROM stream_entry AS s
JOIN record AS r USING (log_index)
JOIN request AS q ON q.transfer_id = r.transfer_id AND NOT q.is_reversal
LEFT JOIN link_member AS m ON m.link_id = q.link_id AND m.partner_number = s.partner_number
WHERE s.partner_number = :partner_number AND s.payload_kind IN (1, 2) AND r.kind = 1
    AND s.log_index >= :first_index AND s.log_index < :end_index;

-- name: records_of(partner_number, transfer_ids)
-- What the books have of transfers, as far as the partner may know: from its stream, or from what its programs were told.
SELECT r.transfer_id::text, r.kind, r.log_index, w.window_id
FROM record AS r
JOIN partner AS p ON p.partner_number = :partner_number
LEFT JOIN settlement_window AS w
    ON w.currency = p.currency AND r.log_index >= w.first_index AND (w.end_index IS NULL OR r.log_index < w.end_index)
WHERE r.transfer_id = ANY (:transfer_ids::uuid[]) AND r.kind IN (1, 2, 4, 5) AND (
    EXISTS (SELECT FROM stream_entry AS s WHERE s.log_index = r.log_index AND s.partner_number = p.partner_number)
    OR EXISTS (
        SELECT FROM delivery AS d JOIN program AS g USING (program_id)
        WHERE d.instruction_id = r.transfer_id AND d.kind = 'CREDIT' AND g.partner_number = p.partner_number
    )
)
ORDER BY r.log_index;

-- name: records_at(log_indexes)
SELECT log_index, kind, record FROM record WHERE log_index = ANY (:log_indexes) AND kind IN (1, 6);

-- name: covered_windows(partner_number, currency)
-- Windows of which the partner reconciled a file.
SELECT DISTINCT w.window_id
FROM recon_run AS r JOIN settlement_window AS w ON w.window_number BETWEEN r.first_window AND r.last_window
WHERE r.partner_number = :partner_number AND w.currency = :currency;

-- name: known_breaks(partner_number)
-- The breaks that are not closed.
SELECT b.break_number, b.break_key, b.category, b.state, w.window_id, b.log_index, b.body
FROM recon_break AS b JOIN settlement_window AS w USING (window_number)
WHERE b.partner_number = :partner_number AND b.closed_at IS NULL
ORDER BY b.break_number;

-- name: same_run(partner_number, sha256, mapping_version, first_window, last_window)$
SELECT run_number FROM recon_run
WHERE partner_number = :partner_number AND file_sha256 = :sha256 AND mapping_version = :mapping_version
    AND first_window = :first_window AND last_window = :last_window;

-- name: next_run(partner_number)$
SELECT coalesce(max(run_number), 0) + 1 FROM recon_run WHERE partner_number = :partner_number;

-- name: next_break(partner_number)$
SELECT coalesce(max(break_number), 0) + 1 FROM recon_break WHERE partner_number = :partner_number;

-- name: breaks_by_key(partner_number, keys)
SELECT break_key, break_number, category, state FROM recon_break
WHERE partner_number = :partner_number AND break_key = ANY (:keys);

-- name: keep_run(partner_number, run_number, sha256, file_name, mapping_version, first_window, last_window, file_rows, lines, matched, cleared, now)!
INSERT INTO recon_run (partner_number, run_number, file_sha256, file_name, mapping_version, first_window, last_window, file_rows,
    lines, matched, cleared, made_at)
VALUES (:partner_number, :run_number, :sha256, :file_name, :mapping_version, :first_window, :last_window, :file_rows, :lines,
    :matched, :cleared, :now);

-- name: keep_breaks(partner_number, numbers, keys, categories, states, run_number, now, windows, log_indexes, transfer_ids, bodies)!
INSERT INTO recon_break (partner_number, break_number, break_key, category, state, first_run, newest_run, opened_at, window_number,
    log_index, transfer_id, body)
SELECT :partner_number, n.number, n.break_key, n.category, n.state, :run_number, :run_number, :now, w.window_number, n.log_index,
    n.transfer_id, n.body
FROM unnest(:numbers::integer[], :keys::bytea[], :categories::text[], :states::text[], :windows::text[], :log_indexes::bigint[],
    :transfer_ids::uuid[], :bodies::text[])
    AS n (number, break_key, category, state, window_id, log_index, transfer_id, body)
JOIN settlement_window AS w USING (window_id);

-- name: find_breaks_again(partner_number, numbers, categories, states, run_number, bodies)!
-- Breaks that this run found too, with what it says of them.
UPDATE recon_break AS b
SET newest_run = :run_number, category = n.category, body = n.body, state = n.state,
    closed_at = CASE WHEN n.state IN ('OPEN', 'EXPLAINED') THEN NULL ELSE b.closed_at END
FROM unnest(:numbers::integer[], :categories::text[], :states::text[], :bodies::text[]) AS n (number, category, state, body)
WHERE b.partner_number = :partner_number AND b.break_number = n.number;

-- name: keep_found(partner_number, run_number, numbers, categories)!
INSERT INTO recon_found (partner_number, run_number, break_number, category)
SELECT :partner_number, :run_number, n.number, n.category
FROM unnest(:numbers::integer[], :categories::text[]) AS n (number, category);

-- name: keep_events(partner_number, numbers, now, actor, kinds, texts)!
-- The next event of each break; no break stands in the list twice.
INSERT INTO recon_event (partner_number, break_number, event_number, at, actor, kind, text)
SELECT :partner_number, n.number,
    1 + coalesce((
        SELECT max(event_number) FROM recon_event AS e WHERE e.partner_number = :partner_number AND e.break_number = n.number
    ), 0),
    :now, :actor, n.kind, n.text
FROM unnest(:numbers::integer[], :kinds::text[], :texts::text[]) AS n (number, kind, text);

-- name: keep_event(partner_number, break_number, now, actor, kind, text, journal)!
INSERT INTO recon_event (partner_number, break_number, event_number, at, actor, kind, text, journal)
SELECT :partner_number, :break_number,
    1 + coalesce((
        SELECT max(event_number) FROM recon_event WHERE partner_number = :partner_number AND break_number = :break_number
    ), 0),
    :now, :actor, :kind, :text, :journal;

-- name: move_break(partner_number, break_number, state, category, now)!
-- A category of NULL stays as it is.
UPDATE recon_break SET state = :state, category = coalesce(:category, category),
    closed_at = CASE WHEN :state IN ('OPEN', 'EXPLAINED') THEN NULL ELSE coalesce(closed_at, :now) END
WHERE partner_number = :partner_number AND break_number = :break_number;

-- name: assign_break(partner_number, break_number, owner)!
UPDATE recon_break SET owner = :owner WHERE partner_number = :partner_number AND break_number = :break_number;

-- name: run_numbered(partner_number, run_number)^
-- A run, or the newest for 0.
SELECT p.partner_id, r.run_number, f.window_id, l.window_id, r.file_sha256, r.file_name, r.mapping_version, r.file_rows, r.lines,
    r.matched, r.made_at, r.cleared
FROM recon_run AS r
JOIN partner AS p USING (partner_number)
JOIN settlement_window AS f ON f.window_number = r.first_window
JOIN settlement_window AS l ON l.window_number = r.last_window
WHERE r.partner_number = :partner_number AND :run_number IN (0, r.run_number)
ORDER BY r.run_number DESC LIMIT 1;

-- name: run_counts(partner_number, run_number)
SELECT f.category, count(*), count(*) FILTER (WHERE b.state = 'OPEN')
FROM recon_found AS f JOIN recon_break AS b USING (partner_number, break_number)
WHERE f.partner_number = :partner_number AND f.run_number = :run_number
GROUP BY f.category ORDER BY f.category;

-- name: breaks_page(partner_number, run_number, open_only, category, after_partner, after_break, breaks_max)
-- Breaks in their order: of one partner or of all (0), of one run or of any (0).
SELECT b.partner_number, p.partner_id, b.break_number, b.category, b.state, b.owner, b.first_run, b.newest_run, b.opened_at,
    b.closed_at, w.window_id, b.log_index, b.transfer_id::text, b.body, p.currency
FROM recon_break AS b
JOIN partner AS p USING (partner_number)
JOIN settlement_window AS w USING (window_number)
WHERE (:partner_number = 0 OR b.partner_number = :partner_number)
    AND (b.partner_number, b.break_number) > (:after_partner, :after_break)
    AND (NOT :open_only OR b.closed_at IS NULL)
    AND (:category = '' OR b.category = :category)
    AND (:run_number = 0 OR EXISTS (
        SELECT FROM recon_found AS f
        WHERE f.partner_number = b.partner_number AND f.run_number = :run_number AND f.break_number = b.break_number
    ))
ORDER BY b.partner_number, b.break_number LIMIT :breaks_max;

-- name: break_numbered(partner_number, break_number)^
SELECT b.partner_number, p.partner_id, b.break_number, b.category, b.state, b.owner, b.first_run, b.newest_run, b.opened_at,
    b.closed_at, w.window_id, b.log_index, b.transfer_id::text, b.body, p.currency
FROM recon_break AS b
JOIN partner AS p USING (partner_number)
JOIN settlement_window AS w USING (window_number)
WHERE b.partner_number = :partner_number AND b.break_number = :break_number;

-- name: events_of(partner_number, break_number)
SELECT at, actor, kind, text, journal FROM recon_event
WHERE partner_number = :partner_number AND break_number = :break_number ORDER BY event_number;

-- name: is_entry(entry_key)$
SELECT EXISTS (SELECT FROM record WHERE entry_key = :entry_key);
