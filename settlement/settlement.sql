-- What settlement reads, and the table of legs, which it fills before the sequencer books the entries that name them.

-- name: window_by_id(window_id)^
-- One window with its currency's unit.
SELECT w.window_number, w.window_id, w.currency, u.unit_number, w.business_date, w.state, w.first_index, w.first_root,
    w.end_index, w.end_root
FROM settlement_window AS w JOIN unit AS u ON u.name = w.currency
WHERE w.window_id = :window_id;

-- name: windows_newest_first(currency, windows_max)
-- The newest windows, of one currency or of all.
SELECT w.window_number, w.window_id, w.currency, u.unit_number, w.business_date, w.state, w.first_index, w.first_root,
    w.end_index, w.end_root
FROM settlement_window AS w JOIN unit AS u ON u.name = w.currency
WHERE :currency::text IS NULL OR w.currency = :currency
ORDER BY w.window_number DESC LIMIT :windows_max;

-- name: windows_in_state(currency, state)
-- The windows of a currency in a state, oldest first.
SELECT w.window_number, w.window_id, w.currency, u.unit_number, w.business_date, w.state, w.first_index, w.first_root,
    w.end_index, w.end_root
FROM settlement_window AS w JOIN unit AS u ON u.name = w.currency
WHERE w.currency = :currency AND w.state = :state
ORDER BY w.window_number;

-- name: window_before(window_number)^
-- The window of the same currency before this one.
SELECT w.window_number, w.window_id, w.currency, u.unit_number, w.business_date, w.state, w.first_index, w.first_root,
    w.end_index, w.end_root
FROM settlement_window AS this
JOIN settlement_window AS w ON w.currency = this.currency AND w.window_number < this.window_number
JOIN unit AS u ON u.name = w.currency
WHERE this.window_number = :window_number
ORDER BY w.window_number DESC LIMIT 1;

-- name: window_after(window_number)^
-- The window of the same currency that this one's closing opened.
SELECT w.window_number, w.window_id, w.currency, u.unit_number, w.business_date, w.state, w.first_index, w.first_root,
    w.end_index, w.end_root
FROM settlement_window AS this
JOIN settlement_window AS w ON w.currency = this.currency AND w.window_number > this.window_number
JOIN unit AS u ON u.name = w.currency
WHERE this.window_number = :window_number
ORDER BY w.window_number LIMIT 1;

-- name: partners_before(currency, end_index)
-- The partners of a currency that had joined before a log index, with their programs in order.
SELECT p.partner_number, p.partner_id, p.legal_name,
    (SELECT array_agg(g.program_id ORDER BY g.place) FROM program AS g WHERE g.partner_number = p.partner_number),
    p.currency, p.net_debit_cap
FROM partner AS p
WHERE p.currency = :currency AND p.registered_index < :end_index
ORDER BY p.partner_number;

-- name: partner_currency(partner_id)$
SELECT currency FROM partner WHERE partner_id = :partner_id;

-- name: partner_number(partner_id)$
SELECT partner_number FROM partner WHERE partner_id = :partner_id;

-- name: tax_codes()
SELECT tax_number, tax_code FROM tax;

-- name: window_sums(window_number)
SELECT party, counterparty, code, tax_number, amount FROM window_sum WHERE window_number = :window_number;

-- name: net_positions(window_numbers)
-- Every partner of each window's currency with its net, the operator first.
SELECT w.window_number, party.name, coalesce(n.net, 0)
FROM settlement_window AS w
CROSS JOIN LATERAL (
    SELECT 0 AS number, 'hub' AS name
    UNION ALL
    SELECT p.partner_number, p.partner_id FROM partner AS p WHERE p.currency = w.currency AND p.registered_index < w.end_index
) AS party
LEFT JOIN window_net AS n ON n.window_number = w.window_number AND n.party = party.number
WHERE w.window_number = ANY (:window_numbers)
ORDER BY w.window_number, party.number;

-- name: program_points(window_number)
-- Points by program: what was surrendered (OUT), what was granted (IN and BONUS_IN), and what of that was a bonus; and the
-- same of what reversals took back.
SELECT g.program_id, coalesce(sum(p.points) FILTER (WHERE p.code = 1), 0)::bigint,
    coalesce(sum(p.points) FILTER (WHERE p.code IN (2, 3)), 0)::bigint,
    coalesce(sum(p.points) FILTER (WHERE p.code = 3), 0)::bigint,
    coalesce(sum(p.points) FILTER (WHERE p.code = 9), 0)::bigint,
    coalesce(sum(p.points) FILTER (WHERE p.code IN (10, 11)), 0)::bigint,
    coalesce(sum(p.points) FILTER (WHERE p.code = 11), 0)::bigint
FROM window_points AS p JOIN program AS g USING (unit_number)
WHERE p.window_number = :window_number
GROUP BY g.program_id;

-- name: stream_ranges(first_index, end_index)
-- First and last stream position of each partner in a range of the log.
SELECT partner_number, min(stream_seq), max(stream_seq)
FROM stream_entry WHERE log_index >= :first_index AND log_index < :end_index
GROUP BY partner_number;

-- name: entry_record(entry_key)^
-- The record of an entry.
SELECT record FROM record WHERE entry_key = :entry_key;

-- name: statement_version(window_id, partner_id, version)^
-- The record of a version of a partner's statement; of the newest where none is named.
SELECT r.record
FROM entry_fact AS f
JOIN settlement_window AS w USING (window_number)
JOIN partner AS p USING (partner_number)
JOIN record AS r USING (log_index)
WHERE f.kind = 'statement' AND w.window_id = :window_id AND p.partner_id = :partner_id
    AND :version IN ('', f.subject)
ORDER BY f.log_index DESC LIMIT 1;

-- name: legs(window_number)
-- A window's legs with what became of them.
SELECT w.window_id, l.partner_number, coalesce(p.partner_id, 'hub'), l.reference, l.amount, l.log_index, l.confirmed_index,
    l.version, l.cancelled_index
FROM leg_state AS l JOIN settlement_window AS w USING (window_number) LEFT JOIN partner AS p USING (partner_number)
WHERE l.window_number = :window_number
ORDER BY l.partner_number, l.version;

-- name: keep_leg(window_number, partner_number, reference, amount, version)!
INSERT INTO leg (window_number, partner_number, reference, amount, version)
VALUES (:window_number, :partner_number, :reference, :amount, :version)
ON CONFLICT DO NOTHING;

-- name: take_turn(number)$
-- Held until the transaction ends.
SELECT pg_advisory_xact_lock(:number);

-- name: unit_number(name)$
SELECT unit_number FROM unit WHERE name = :name;

-- name: revoked_keys(key_ids)
-- Those of these keys that were revoked.
SELECT key_id FROM signing_key WHERE key_id = ANY (:key_ids) AND revoked_index IS NOT NULL;

-- name: closed_at(window_id)$
-- When a window was closed, by the log's time.
SELECT recorded_at FROM record WHERE entry_key = 'close/' || :window_id;

-- name: booked_at(entry_key)$
-- When an entry was booked, by the log's time.
SELECT recorded_at FROM record WHERE entry_key = :entry_key;
