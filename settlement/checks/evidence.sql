-- What is stored of what was signed and logged, to be held against each other. Read in pieces, each after a place.

-- name: head^
SELECT next_index, frontier FROM head;

-- name: records(after, rows_max)
SELECT log_index, kind, transfer_id::text, entry_key, salt, record, leaf_hash
FROM record WHERE log_index > :after ORDER BY log_index LIMIT :rows_max;

-- name: entry(log_index)^
SELECT entry_key, recorded_at, record FROM record WHERE log_index = :log_index;

-- name: stream_heads()
SELECT p.partner_id, h.partner_number, h.last_seq, h.last_sha256 FROM stream_head AS h JOIN partner AS p USING (partner_number)
ORDER BY p.partner_id;

-- name: stream(partner_number, after, rows_max)
SELECT e.stream_seq, e.payload_kind, e.payload, r.record
FROM stream_entry AS e LEFT JOIN record AS r USING (log_index)
WHERE e.partner_number = :partner_number AND e.stream_seq > :after ORDER BY e.stream_seq LIMIT :rows_max;

-- name: proposals()
-- Every proposal with its signatures, and what is stored of its force.
SELECT a.agreement_id, a.version, a.round, a.source_partner, a.target_partner, a.signatories, a.payload, a.log_index,
    f.log_index, lower(f.effective), upper(f.effective),
    (SELECT json_agg(json_build_array(s.key_id, encode(s.signature, 'hex')) ORDER BY s.log_index, s.partner_id)
     FROM agreement_signature AS s WHERE (s.agreement_id, s.version, s.round) = (a.agreement_id, a.version, a.round))
FROM agreement AS a LEFT JOIN agreement_force AS f USING (agreement_id, version, round)
ORDER BY a.agreement_id, a.version, a.round;

-- name: logged_rates()
SELECT tax_code, effective_from, basis_points, log_index FROM tax_rate WHERE log_index IS NOT NULL ORDER BY log_index;

-- name: audience$
SELECT audience FROM deployment;

-- name: answers(instruction_id, kind, sha256, key_id, rows_max)
-- Stored answers after one of them, with what was asked of whom.
SELECT a.instruction_id::text, a.kind, a.sha256, a.key_id, d.program_id, p.partner_id, d.points,
    a.outcome, a.points, a.reason, a.reference, a.media_type, a.content, a.signature
FROM delivery_answer AS a
JOIN delivery AS d USING (instruction_id, kind)
JOIN program AS g USING (program_id)
JOIN partner AS p USING (partner_number)
WHERE (a.instruction_id, a.kind, a.sha256, a.key_id) > (:instruction_id::uuid, :kind, :sha256, :key_id)
ORDER BY a.instruction_id, a.kind, a.sha256, a.key_id LIMIT :rows_max;

-- name: answers_to(instruction_ids)
-- What was answered to some instructions, with evidence.
SELECT instruction_id::text, kind, sha256, key_id, outcome, points FROM delivery_answer
WHERE instruction_id = ANY (:instruction_ids::uuid[]) AND media_type <> '';

-- name: reserved_of(names)
-- Which of some transfers and reversals waited for the target's answer.
SELECT transfer_id::text FROM reservation WHERE transfer_id = ANY (:names::uuid[]);

-- name: ended_without_answer()
-- Reservations that ended as only an answer can have it, or of which the target was told, and nothing is stored of an answer.
SELECT v.transfer_id::text, v.verdict FROM reservation AS v LEFT JOIN delivery AS d ON d.instruction_id = v.transfer_id
WHERE v.verdict IS NOT NULL AND (d.sent_at IS NOT NULL OR v.verdict IN ('CREDITED', 'DECLINED', 'TAKEN_BACK'))
    AND NOT EXISTS (SELECT FROM delivery_answer AS a WHERE a.instruction_id = v.transfer_id)
ORDER BY v.log_index;

-- name: answers_that_count()
-- Instructions that name an answer which is not stored.
SELECT d.instruction_id::text, d.kind, encode(d.answer_sha256, 'hex') FROM delivery AS d
WHERE d.answer_sha256 IS NOT NULL AND NOT EXISTS (
    SELECT FROM delivery_answer AS a WHERE (a.instruction_id, a.kind, a.sha256) = (d.instruction_id, d.kind, d.answer_sha256))
ORDER BY d.log_index;
