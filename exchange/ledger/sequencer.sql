-- What the sequencer reads and writes besides the statements of every batch, which are in `prepared.sql`. It holds the head
-- row's lock from its first statement to its commit, so whatever it reads after that is what the lock protects.

-- name: entries(entry_keys)
-- Entries booked before under these keys.
SELECT entry_key, log_index, record FROM record WHERE entry_key = ANY (:entry_keys);

-- name: windows(window_ids)
-- Every window that is not stated yet, those aborted whose credits still wait, and these.
SELECT window_number, window_id, currency, business_date, state, first_index, end_index
FROM settlement_window AS w WHERE state IN ('OPEN', 'CLOSED') OR window_id = ANY (:window_ids) OR (
    state = 'ABORTED' AND EXISTS (
        SELECT FROM window_credit AS c WHERE c.window_number = w.window_number AND c.amount > 0));

-- name: window_credits(window_ids, partner_numbers)
-- What waits of credits: of these windows and of aborted ones, and of these partners in all windows that are not settled.
SELECT c.window_number, c.partner_number, c.amount
FROM window_credit AS c JOIN settlement_window AS w USING (window_number)
WHERE w.window_id = ANY (:window_ids) OR (w.state = 'ABORTED' AND c.amount > 0)
    OR (w.state <> 'SETTLED' AND c.partner_number = ANY (:partner_numbers::integer[]));

-- name: window_money(window_ids)
-- The money sums of these windows.
SELECT s.window_number, s.party, s.counterparty, s.code, s.tax_number, s.amount
FROM window_sum AS s JOIN settlement_window AS w USING (window_number)
WHERE w.window_id = ANY (:window_ids);

-- name: balances(account_numbers)
SELECT account_number, debits_pending, debits_posted, credits_pending, credits_posted, floor, ceiling, credits_held
FROM balance WHERE account_number = ANY (:account_numbers::bigint[]);

-- name: all_balances()
SELECT account_number, debits_pending, debits_posted, credits_pending, credits_posted, floor, ceiling, credits_held FROM balance;

-- name: tallies()
SELECT p.partner_id, t.minute, t.refused FROM refusal_tally AS t JOIN partner AS p USING (partner_number);

-- name: held(transfer_ids)
-- These transfers, if they were ever held, with their record.
SELECT v.transfer_id, v.log_index, r.recorded_at, r.record, v.facts, v.verdict, coalesce(v.decided_index, 0), false
FROM review AS v JOIN record AS r USING (log_index) WHERE v.transfer_id = ANY (:transfer_ids::uuid[]);

-- name: reserved(transfer_ids)
-- These transfers, if they were ever reserved, with the record of the entry that holds their amounts; and whether their
-- targets may have been told, as it stays until this transaction ends.
SELECT w.transfer_id, w.hold_index, r.recorded_at, r.record, w.facts, w.verdict, coalesce(w.decided_index, 0), d.state <> 'QUEUED'
FROM reservation AS w
JOIN record AS r ON r.log_index = w.hold_index
JOIN delivery AS d ON (d.instruction_id, d.kind) = (w.transfer_id, 'CREDIT')
WHERE w.transfer_id = ANY (:transfer_ids::uuid[])
FOR UPDATE OF d;

-- name: originals(transfer_ids)
-- These transfers by their newest records, with what was posted of fee and tax, and what reversals have taken back.
SELECT DISTINCT ON (r.transfer_id) r.transfer_id::text, r.record,
    coalesce((SELECT sum(amount) FROM posting AS p WHERE p.log_index = r.log_index AND p.code = 7), 0)::bigint,
    coalesce((SELECT sum(amount) FROM posting AS p WHERE p.log_index = r.log_index AND p.code = 8), 0)::bigint,
    coalesce(v.reversed_points, 0),
    coalesce((
        SELECT sum(points) FROM delivery AS d
        WHERE d.transfer_id = r.transfer_id AND d.kind = 'REVERSE' AND d.state <> 'CONCLUDED'), 0)::bigint
FROM record AS r LEFT JOIN reversed_transfer AS v USING (transfer_id)
WHERE r.transfer_id = ANY (:transfer_ids::uuid[]) AND r.kind NOT IN (6, 7, 8)
ORDER BY r.transfer_id, r.log_index DESC;

-- name: asked(reversal_ids)
-- Requests to take points back, as they came, and where they ended.
SELECT w.transfer_id, q.payload, q.key_id, q.signature, coalesce(w.decided_index, 0)
FROM reservation AS w JOIN request AS q USING (transfer_id)
WHERE w.transfer_id = ANY (:reversal_ids::uuid[]) AND q.is_reversal;

-- name: postings_of(log_indexes)
SELECT log_index, code, debit, credit, amount, phase FROM posting
WHERE log_index = ANY (:log_indexes::bigint[]) ORDER BY log_index, place;

-- name: day_tallies(subjects)
-- What these subjects did on their newest days.
SELECT subject, day, transfers, amount FROM day_tally WHERE subject = ANY (:subjects::text[]);

-- name: forget_day_tallies!
DELETE FROM day_tally WHERE subject = ANY (:subjects::text[]);

-- name: member_secret$
SELECT secret FROM member_secret;

-- name: resolved(log_indexes)
-- Which pending postings of these entries were resolved.
SELECT resolves_index, resolves_place FROM posting WHERE resolves_index = ANY (:log_indexes::bigint[]);

-- name: promotion_points(agreement_ids, versions)
-- What the promotions of these agreement versions have granted.
SELECT agreement_id, version, promotion_id, granted_points
FROM promotion JOIN unnest(:agreement_ids::text[], :versions::integer[]) AS wanted (agreement_id, version)
    USING (agreement_id, version);

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

-- name: links(link_ids, programs, members)
-- These links, and all of these members. Both references stand beside each link.
SELECT l.link_id::text, l.source_program, l.target_program, l.state, l.frozen, l.log_index, l.started_at, l.confirmed_at,
    l.method, l.consent_version, s.member, t.member
FROM link AS l
LEFT JOIN link_member AS s ON (s.link_id, s.program_id) = (l.link_id, l.source_program)
LEFT JOIN link_member AS t ON (t.link_id, t.program_id) = (l.link_id, l.target_program)
WHERE l.link_id = ANY (ARRAY(
    SELECT unnest(:link_ids::uuid[])
    UNION
    SELECT m.link_id FROM link_member AS m
    JOIN unnest(:programs::text[], :members::text[]) AS n (program_id, member) USING (program_id, member)
));

-- name: quotes(quote_ids)
-- These quotes.
SELECT payload, request_sha256, used_by::text, reserves FROM quote WHERE quote_id = ANY (:quote_ids::uuid[]);

-- name: lapsed_quotes(agreement_ids, versions, now)
-- Quotes under these agreement versions that have expired unused and still hold bonus points.
SELECT q.payload, q.request_sha256, q.used_by::text, q.reserves
FROM quote AS q JOIN unnest(:agreement_ids::text[], :versions::integer[]) AS n (agreement_id, version) USING (agreement_id, version)
WHERE q.reserves AND q.expires_at <= :now;

-- name: write_link!
INSERT INTO link (link_id, source_program, target_program, state, frozen, log_index, started_at, confirmed_at, method, consent_version)
VALUES (:link_id, :source_program, :target_program, :state, :frozen, :log_index, :started_at, :confirmed_at, :method, :consent_version)
ON CONFLICT (link_id) DO UPDATE SET state = excluded.state, frozen = excluded.frozen, log_index = excluded.log_index,
    confirmed_at = excluded.confirmed_at, method = excluded.method, consent_version = excluded.consent_version;

-- name: write_link_member!
INSERT INTO link_member (link_id, partner_number, program_id, member, salt)
VALUES (:link_id, :partner_number, :program, :member, :salt);

-- name: forget_member!
DELETE FROM link_member WHERE program_id = :program AND member = :member;

-- name: require_links!
UPDATE program SET link_required = :required WHERE program_id = :program;

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
INSERT INTO partner_state (partner_number, log_index, state) VALUES (:partner_number, :log_index, 'SANDBOX');
INSERT INTO account (account_number, name) SELECT * FROM unnest(:account_numbers::bigint[], :account_names::text[]);
INSERT INTO balance (account_number, floor, lowest, ceiling)
SELECT n.account_number, n.floor, n.floor, n.ceiling
FROM unnest(:account_numbers::bigint[], :floors::bigint[], :ceilings::bigint[]) AS n (account_number, floor, ceiling);

-- name: write_restraint!
INSERT INTO restraint (kind, subject, body, log_index) VALUES (:kind, :subject, :body, :log_index)
ON CONFLICT (kind, subject) DO UPDATE SET body = excluded.body, log_index = excluded.log_index;

-- name: write_key!
INSERT INTO signing_key (key_id, holder, purpose, public_key, valid_from, valid_until, registered_index)
VALUES (:key_id, :holder, :purpose, :public_key, :valid_from, :valid_until, :registered_index);

-- name: write_tax_rate!
-- A code that is new opens its accounts.
INSERT INTO tax (tax_code, tax_number) VALUES (:tax_code, :tax_number) ON CONFLICT DO NOTHING;
INSERT INTO tax_rate (tax_code, effective_from, basis_points, log_index)
VALUES (:tax_code, :effective_from, :basis_points, :log_index);
INSERT INTO account (account_number, name) SELECT * FROM unnest(:account_numbers::bigint[], :account_names::text[]);
INSERT INTO balance (account_number) SELECT * FROM unnest(:account_numbers::bigint[]);

-- name: revoke_key!
UPDATE signing_key SET revoked_index = :revoked_index WHERE key_id = :key_id AND revoked_index IS NULL;

-- name: newest_proposals(agreement_ids, versions)
-- The newest proposal of each of these agreement versions, with who signed it by which key.
SELECT DISTINCT ON (a.agreement_id, a.version)
    a.agreement_id, a.version, a.round, a.proposer, sha256(a.payload), a.signatories, a.is_counter,
    EXISTS (SELECT FROM agreement_withdrawal AS w WHERE (w.agreement_id, w.version, w.round) = (a.agreement_id, a.version, a.round)),
    (SELECT json_agg(json_build_array(s.partner_id, s.key_id) ORDER BY s.log_index, s.partner_id)
     FROM agreement_signature AS s WHERE (s.agreement_id, s.version, s.round) = (a.agreement_id, a.version, a.round))
FROM agreement AS a JOIN unnest(:agreement_ids::text[], :versions::integer[]) AS n (agreement_id, version) USING (agreement_id, version)
ORDER BY a.agreement_id, a.version, a.round DESC;

-- name: stored_forces(agreement_ids, versions)
-- What is stored of these activated versions.
SELECT f.agreement_id, f.version, sha256(a.payload), lower(f.effective), upper(f.effective)
FROM agreement_force AS f
JOIN agreement AS a USING (agreement_id, version, round)
JOIN unnest(:agreement_ids::text[], :versions::integer[]) AS n (agreement_id, version) USING (agreement_id, version);

-- name: write_proposal!
INSERT INTO agreement (agreement_id, version, round, source_partner, target_partner, proposer, signatories, is_counter, payload, log_index)
VALUES (:agreement_id, :version, :round, :source_partner, :target_partner, :proposer, :signatories, :is_counter, :payload, :log_index);

-- name: write_agreement_signature!
INSERT INTO agreement_signature (agreement_id, version, round, partner_id, key_id, signature, log_index)
VALUES (:agreement_id, :version, :round, :partner_id, :key_id, :signature, :log_index);

-- name: write_withdrawal!
INSERT INTO agreement_withdrawal (agreement_id, version, round, log_index) VALUES (:agreement_id, :version, :round, :log_index);

-- name: write_force!
-- The version in force on the corridor ends when this one begins; the exclusion constraint is the last line.
UPDATE agreement_force SET effective = tstzrange(lower(effective), :effective_from)
WHERE corridor = :corridor AND effective @> :effective_from::timestamptz;
INSERT INTO agreement_force (agreement_id, version, round, corridor, effective, log_index)
VALUES (:agreement_id, :version, :round, :corridor, tstzrange(:effective_from, :effective_until), :log_index);

-- name: write_termination!
UPDATE agreement_force SET effective = tstzrange(lower(effective), :effective_until)
WHERE agreement_id = :agreement_id AND version = :version;
INSERT INTO agreement_termination (agreement_id, version, effective_until, log_index)
VALUES (:agreement_id, :version, :effective_until, :log_index);

-- name: write_partner_state!
INSERT INTO partner_state (partner_number, log_index, state) VALUES (:partner_number, :log_index, :state);

-- name: write_roles!
INSERT INTO operator_roles (operator, log_index, roles) VALUES (:operator, :log_index, :roles::text[]);

-- name: write_promotions!
-- The budgets of a version's promotions.
INSERT INTO promotion (agreement_id, version, promotion_id, budget_points)
SELECT :agreement_id, :version, * FROM unnest(:promotion_ids::text[], :budgets::bigint[]);

-- name: open_window!
INSERT INTO settlement_window (window_number, window_id, currency, business_date, state, first_index, first_root)
VALUES (:window_number, :window_id, :currency, :business_date, 'OPEN', :first_index, :root);

-- name: close_window!
UPDATE settlement_window SET state = 'CLOSED', end_index = :end_index, end_root = :root WHERE window_number = :window_number;

-- name: step_window!
UPDATE settlement_window SET state = :after WHERE window_id = :window_id AND state = :before;

-- name: write_fact(log_index, place, kind, currency, partner_number, window_number, subject)!
INSERT INTO entry_fact (log_index, place, kind, currency, partner_number, window_number, subject)
VALUES (:log_index, :place, :kind, :currency, :partner_number, :window_number, :subject);
