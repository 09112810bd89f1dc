-- What the sequencer reads and writes. It holds the head row's lock from its first statement to its commit, so whatever it
-- reads after that is what the lock protects.

-- name: lock_head()^
-- Take the turn. A row-locking SELECT shows the row as it is after the wait; nothing else is read here.
SELECT next_index, frontier, recorded_at, terms_revision FROM head FOR UPDATE;

-- name: answers(transfer_ids)
-- What these ids were answered with before.
SELECT r.transfer_id::text, p.partner_id, r.payload_sha256, r.log_index, r.payload, r.key_id, r.signature
FROM request AS r JOIN partner AS p USING (partner_number)
WHERE r.transfer_id = ANY (:transfer_ids::uuid[]);

-- name: entries(entry_keys)
-- Entries booked before under these keys.
SELECT entry_key, log_index, record FROM record WHERE entry_key = ANY (:entry_keys);

-- name: windows(window_ids)
-- Every open window, and these.
SELECT window_number, window_id, currency, business_date, state, first_index, end_index
FROM settlement_window WHERE state = 'OPEN' OR window_id = ANY (:window_ids);

-- name: window_money(window_ids)
-- The money sums of these windows.
SELECT s.window_number, s.party, s.counterparty, s.code, s.tax_number, s.amount
FROM window_sum AS s JOIN settlement_window AS w USING (window_number)
WHERE w.window_id = ANY (:window_ids);

-- name: balances(account_numbers)
SELECT account_number, debits_pending, debits_posted, credits_pending, credits_posted, floor, ceiling
FROM balance WHERE account_number = ANY (:account_numbers::bigint[]);

-- name: all_balances()
SELECT account_number, debits_pending, debits_posted, credits_pending, credits_posted, floor, ceiling FROM balance;

-- name: tallies()
SELECT p.partner_id, t.minute, t.refused FROM refusal_tally AS t JOIN partner AS p USING (partner_number);

-- name: resolved(log_indexes)
-- Which pending postings of these entries were resolved.
SELECT resolves_index, resolves_place FROM posting WHERE resolves_index = ANY (:log_indexes::bigint[]);

-- name: leaf(log_index)$
-- The leaf at an index, if it was committed.
SELECT leaf_hash FROM record WHERE log_index = :log_index;

-- name: stream_heads(partner_numbers)
SELECT partner_number, last_seq, last_sha256 FROM stream_head WHERE partner_number = ANY (:partner_numbers::integer[]);

-- name: stream_payloads(log_indexes)
-- What the partners' streams hold of these transfers.
SELECT p.partner_id, e.log_index, e.payload_kind, e.payload, r.record, q.refused_field, q.refused_text
FROM stream_entry AS e
JOIN partner AS p USING (partner_number)
JOIN record AS r USING (log_index)
LEFT JOIN request AS q ON q.transfer_id = r.transfer_id
WHERE e.log_index = ANY (:log_indexes::bigint[]);

-- name: write_units!
INSERT INTO unit (unit_number, name, scale)
SELECT * FROM unnest(:unit_numbers::integer[], :names::text[], :scales::smallint[]);

-- name: write_partner!
INSERT INTO partner (partner_number, partner_id, legal_name, currency, net_debit_cap, registered_index)
VALUES (:partner_number, :partner_id, :legal_name, :currency, :net_debit_cap, :log_index);
INSERT INTO program (program_id, partner_number, place, unit_number)
SELECT p.program_id, :partner_number, p.place, u.unit_number
FROM unnest(:programs::text[]) WITH ORDINALITY AS p (program_id, place) JOIN unit AS u ON u.name = 'PTS:' || p.program_id;
INSERT INTO stream_head (partner_number) VALUES (:partner_number);
INSERT INTO account (account_number, name) SELECT * FROM unnest(:account_numbers::bigint[], :account_names::text[]);
INSERT INTO balance (account_number, floor, ceiling)
SELECT * FROM unnest(:account_numbers::bigint[], :floors::bigint[], :ceilings::bigint[]);

-- name: write_key!
INSERT INTO signing_key (key_id, holder, purpose, public_key, valid_from, valid_until, registered_index)
VALUES (:key_id, :holder, :purpose, :public_key, :valid_from, :valid_until, :registered_index);

-- name: write_force!
-- The version in force on the corridor ends when this one begins; the exclusion constraint is the last line.
UPDATE agreement_force SET effective = tstzrange(lower(effective), :effective_from)
WHERE corridor = :corridor AND effective @> :effective_from::timestamptz;
INSERT INTO agreement_force (agreement_id, version, corridor, effective, log_index)
VALUES (:agreement_id, :version, :corridor, tstzrange(:effective_from, NULL), :log_index);

-- name: open_window!
INSERT INTO settlement_window (window_number, window_id, currency, business_date, state, first_index, first_root)
VALUES (:window_number, :window_id, :currency, :business_date, 'OPEN', :first_index, :root);

-- name: close_window!
UPDATE settlement_window SET state = 'CLOSED', end_index = :end_index, end_root = :root WHERE window_number = :window_number;

-- name: step_window!
UPDATE settlement_window SET state = :after WHERE window_id = :window_id AND state = :before;

-- name: write_batch!
-- Everything that a batch writes besides the rare effects above: one round trip, whatever the batch's size.
INSERT INTO request (transfer_id, partner_number, payload_sha256, log_index, payload, key_id, signature, refused_field, refused_text)
SELECT * FROM unnest(:request_ids::uuid[], :request_partners::integer[], :request_digests::bytea[], :request_indexes::bigint[],
    :request_payloads::bytea[], :request_keys::text[], :request_signatures::bytea[], :request_refused_fields::text[],
    :request_refused_texts::text[]);
INSERT INTO record (log_index, kind, transfer_id, entry_key, recorded_at, salt, record, leaf_hash)
SELECT * FROM unnest(:record_indexes::bigint[], :record_kinds::smallint[], :record_transfers::uuid[], :record_keys::text[],
    :record_times::timestamptz[], :record_salts::bytea[], :record_bytes::bytea[], :record_leaves::bytea[]);
INSERT INTO posting (log_index, place, code, phase, debit, credit, amount, window_number, resolves_index, resolves_place)
SELECT * FROM unnest(:posting_indexes::bigint[], :posting_places::smallint[], :posting_codes::smallint[], :posting_phases::smallint[],
    :posting_debits::bigint[], :posting_credits::bigint[], :posting_amounts::bigint[], :posting_windows::integer[],
    :posting_resolves::bigint[], :posting_resolved_places::smallint[]);
INSERT INTO stream_entry (partner_number, stream_seq, log_index, payload_kind, payload)
SELECT * FROM unnest(:entry_partners::integer[], :entry_seqs::bigint[], :entry_indexes::bigint[], :entry_kinds::smallint[],
    :entry_payloads::bytea[]);
UPDATE stream_head AS h SET last_seq = n.seq, last_sha256 = n.sha256
FROM unnest(:stream_partners::integer[], :stream_seqs::bigint[], :stream_digests::bytea[]) AS n (partner_number, seq, sha256)
WHERE h.partner_number = n.partner_number;
UPDATE balance AS b SET debits_pending = n.dpe, debits_posted = n.dpo, credits_pending = n.cpe, credits_posted = n.cpo, version = version + 1
FROM unnest(:balance_accounts::bigint[], :balance_dpe::bigint[], :balance_dpo::bigint[], :balance_cpe::bigint[], :balance_cpo::bigint[])
    AS n (account_number, dpe, dpo, cpe, cpo)
WHERE b.account_number = n.account_number;
INSERT INTO window_sum AS s (window_number, party, counterparty, code, tax_number, amount)
SELECT * FROM unnest(:sum_windows::integer[], :sum_parties::integer[], :sum_counterparties::integer[], :sum_codes::smallint[],
    :sum_taxes::integer[], :sum_amounts::bigint[])
ON CONFLICT (window_number, party, counterparty, code, tax_number) DO UPDATE SET amount = s.amount + excluded.amount;
INSERT INTO window_points AS s (window_number, unit_number, code, points)
SELECT * FROM unnest(:points_windows::integer[], :points_units::integer[], :points_codes::smallint[], :points_amounts::bigint[])
ON CONFLICT (window_number, unit_number, code) DO UPDATE SET points = s.points + excluded.points;
INSERT INTO refusal_tally (partner_number, minute, refused)
SELECT * FROM unnest(:tally_partners::integer[], :tally_minutes::bigint[], :tally_refused::integer[])
ON CONFLICT (partner_number) DO UPDATE SET minute = excluded.minute, refused = excluded.refused;
UPDATE head SET next_index = :next_index, frontier = :frontier, recorded_at = :recorded_at, terms_revision = :terms_revision;
