-- The statements of every batch, prepared once on the sequencer's own connection: planning them each time would cost as much
-- as running them. A batch sends those that it has rows for in one round trip, a column as one array. They run under the head
-- row's lock.

SET plan_cache_mode = force_generic_plan;

-- Take the turn. What a row-locking SELECT reads beside the row itself may be stale after the wait, so it reads nothing else.
PREPARE lock_head AS SELECT 1 FROM head FOR UPDATE;

-- The head, and what these ids were answered with before: one row for each, one without them where none was used.
PREPARE read_head (uuid[]) AS
SELECT h.next_index, h.frontier, h.recorded_at, h.terms_revision, h.quote_changes, a.*
FROM head AS h
LEFT JOIN (
    SELECT r.transfer_id::text, p.partner_id, r.payload_sha256, coalesce(w.decided_index, w.log_index, v.decided_index, r.log_index), r.payload, r.key_id, r.signature,
        r.is_reversal
    FROM request AS r JOIN partner AS p USING (partner_number) LEFT JOIN review AS v USING (transfer_id)
        LEFT JOIN reservation AS w USING (transfer_id)
    WHERE r.transfer_id = ANY ($1)
) AS a ON true;

PREPARE write_requests (uuid[], integer[], bytea[], bigint[], bytea[], text[], bytea[], text[], text[], uuid[], boolean[]) AS
INSERT INTO request (transfer_id, partner_number, payload_sha256, log_index, payload, key_id, signature, refused_field, refused_text, link_id,
    is_reversal)
SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

PREPARE write_records (bigint[], smallint[], uuid[], text[], timestamptz[], bytea[], bytea[], bytea[]) AS
INSERT INTO record (log_index, kind, transfer_id, entry_key, recorded_at, salt, record, leaf_hash)
SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8);

PREPARE write_postings (bigint[], smallint[], smallint[], smallint[], bigint[], bigint[], bigint[], integer[], bigint[], smallint[]) AS
INSERT INTO posting (log_index, place, code, phase, debit, credit, amount, window_number, resolves_index, resolves_place)
SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

PREPARE write_stream_entries (integer[], bigint[], bigint[], smallint[], bytea[]) AS
INSERT INTO stream_entry (partner_number, stream_seq, log_index, payload_kind, payload)
SELECT * FROM unnest($1, $2, $3, $4, $5);

PREPARE write_stream_heads (integer[], bigint[], bytea[]) AS
UPDATE stream_head AS h SET last_seq = n.seq, last_sha256 = n.sha256
FROM unnest($1, $2, $3) AS n (partner_number, seq, sha256)
WHERE h.partner_number = n.partner_number;

-- A balance below its floor, since that was raised, may rise and never fall again: `lowest` follows it up to the floor. Where
-- the batch has set the floor, or has credits wait from now on, it starts from where the balance then stands. For what is forced
-- it gives way, by that much.
PREPARE write_balances (bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[], bigint[]) AS
UPDATE balance AS b
SET debits_pending = n.dpe, debits_posted = n.dpo, credits_pending = n.cpe, credits_posted = n.cpo, version = version + 1,
    floor = n.floor, credits_held = n.held,
    lowest = CASE
        WHEN n.floor IS NULL THEN NULL
        WHEN n.floor = b.floor AND (n.held IS NULL OR b.credits_held IS NOT NULL)
            THEN least(n.floor, greatest(b.lowest - n.forced, n.cpo - coalesce(n.held, 0) - n.dpo - n.dpe))
        ELSE least(n.floor, n.cpo - coalesce(n.held, 0) - n.dpo - n.dpe)
    END
FROM unnest($1, $2, $3, $4, $5, $6, $7, $8) AS n (account_number, dpe, dpo, cpe, cpo, floor, held, forced)
WHERE b.account_number = n.account_number;

PREPARE write_money (integer[], integer[], integer[], smallint[], integer[], bigint[]) AS
INSERT INTO window_sum AS s (window_number, party, counterparty, code, tax_number, amount)
SELECT * FROM unnest($1, $2, $3, $4, $5, $6)
ON CONFLICT (window_number, party, counterparty, code, tax_number) DO UPDATE SET amount = s.amount + excluded.amount;

PREPARE write_points (integer[], integer[], smallint[], bigint[]) AS
INSERT INTO window_points AS s (window_number, unit_number, code, points)
SELECT * FROM unnest($1, $2, $3, $4)
ON CONFLICT (window_number, unit_number, code) DO UPDATE SET points = s.points + excluded.points;

PREPARE write_credits (integer[], integer[], bigint[]) AS
INSERT INTO window_credit AS s (window_number, partner_number, amount)
SELECT * FROM unnest($1, $2, $3)
ON CONFLICT (window_number, partner_number) DO UPDATE SET amount = s.amount + excluded.amount;

PREPARE write_tallies (integer[], bigint[], integer[]) AS
INSERT INTO refusal_tally (partner_number, minute, refused)
SELECT * FROM unnest($1, $2, $3)
ON CONFLICT (partner_number) DO UPDATE SET minute = excluded.minute, refused = excluded.refused;

PREPARE write_holds (uuid[], integer[], bigint[], text[]) AS
INSERT INTO review (transfer_id, partner_number, log_index, facts)
SELECT * FROM unnest($1, $2, $3, $4);

PREPARE write_verdicts (uuid[], text[], bigint[]) AS
UPDATE review AS v SET verdict = n.verdict, decided_index = n.decided_index
FROM unnest($1, $2, $3) AS n (transfer_id, verdict, decided_index)
WHERE v.transfer_id = n.transfer_id;

PREPARE write_reservations (uuid[], integer[], bigint[], bigint[], text[]) AS
INSERT INTO reservation (transfer_id, partner_number, log_index, hold_index, facts)
SELECT * FROM unnest($1, $2, $3, $4, $5);

PREPARE write_conclusions (uuid[], text[], bigint[], text[]) AS
WITH ended AS (
    UPDATE reservation AS w SET verdict = n.verdict, decided_index = n.decided_index
    FROM unnest($1, $2, $3) AS n (transfer_id, verdict, decided_index)
    WHERE w.transfer_id = n.transfer_id
)
UPDATE delivery AS d SET state = 'CONCLUDED', leased_until = NULL
FROM unnest($1, $4) AS n (instruction_id, kind)
WHERE (d.instruction_id, d.kind) = (n.instruction_id, n.kind);

PREPARE write_deliveries (uuid[], text[], uuid[], text[], text[], bigint[], text[], boolean[], bigint[], timestamptz[], timestamptz[]) AS
INSERT INTO delivery (
    instruction_id, kind, transfer_id, program_id, member_key, points, expiry_lots, committed, log_index, next_at, answer_by
)
SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11);

PREPARE write_reversed_points (uuid[], bigint[], bigint[]) AS
INSERT INTO reversed_transfer (transfer_id, reversed_points, credited_points)
SELECT * FROM unnest($1, $2, $3)
ON CONFLICT (transfer_id) DO UPDATE SET reversed_points = excluded.reversed_points;

PREPARE write_day_tallies (text[], integer[], bigint[], bigint[]) AS
INSERT INTO day_tally (subject, day, transfers, amount)
SELECT * FROM unnest($1, $2, $3, $4)
ON CONFLICT (subject) DO UPDATE SET day = excluded.day, transfers = excluded.transfers, amount = excluded.amount;

PREPARE write_promotion_points (text[], integer[], text[], bigint[]) AS
UPDATE promotion AS p SET granted_points = n.points
FROM unnest($1, $2, $3, $4) AS n (agreement_id, version, promotion_id, points)
WHERE (p.agreement_id, p.version, p.promotion_id) = (n.agreement_id, n.version, n.promotion_id);

PREPARE write_quotes (uuid[], integer[], bytea[], text[], integer[], bytea[], timestamptz[], uuid[], boolean[]) AS
INSERT INTO quote (quote_id, partner_number, request_sha256, agreement_id, version, payload, expires_at, used_by, reserves)
SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9);

PREPARE write_quote_uses (uuid[], uuid[], boolean[]) AS
UPDATE quote AS q SET used_by = n.used_by, reserves = n.reserves
FROM unnest($1, $2, $3) AS n (quote_id, used_by, reserves)
WHERE q.quote_id = n.quote_id;

PREPARE move_head (bigint, bytea, timestamptz, bigint, bigint) AS
UPDATE head SET next_index = $1, frontier = $2, recorded_at = $3, terms_revision = $4, quote_changes = $5;
