-- Where the instructions to programs stand. The sequencer writes them; whoever tells programs moves them on, each statement
-- in a transaction of its own and with no call under way.

-- name: due()
-- The programs for which there is something to tell or to ask now.
SELECT DISTINCT program_id FROM delivery
WHERE state IN ('QUEUED', 'SENT') AND next_at <= now() AND coalesce(leased_until, '-infinity') <= now()
    AND (state = 'SENT' OR answer_by IS NULL OR answer_by > now());

-- name: claim(program, most, lease, in_turn)
-- Takes the oldest that are due, of each member only its oldest; where a program does in their turn what it has at work, only
-- its oldest that it has not. From here on the program may have heard of them.
WITH due AS (
    SELECT d.instruction_id, d.kind, d.state AS state_before
    FROM delivery AS d
    WHERE d.program_id = :program AND d.state IN ('QUEUED', 'SENT')
        AND d.next_at <= now() AND coalesce(d.leased_until, '-infinity') <= now()
        AND (d.state = 'SENT' OR d.answer_by IS NULL OR d.answer_by > now())
        AND NOT EXISTS (
            SELECT FROM delivery AS e
            WHERE e.program_id = d.program_id AND e.member_key = d.member_key
                AND e.state IN ('QUEUED', 'SENT') AND NOT (:in_turn AND e.fault = 'AT_WORK') AND e.log_index < d.log_index
        )
    ORDER BY d.next_at, d.log_index
    LIMIT :most
    FOR UPDATE OF d SKIP LOCKED
), taken AS (
    UPDATE delivery AS d
    SET state = 'SENT', attempts = d.attempts + 1, sent_at = coalesce(d.sent_at, now()), leased_until = now() + :lease
    FROM due
    WHERE (d.instruction_id, d.kind) = (due.instruction_id, due.kind)
    RETURNING d.*, due.state_before
)
SELECT t.instruction_id, t.kind, t.transfer_id, t.program_id, t.points, t.expiry_lots, t.committed, t.attempts, t.state_before,
    coalesce(t.answer_by <= now(), false), q.payload, q.payload_sha256, m.member, k.public_key
FROM taken AS t
LEFT JOIN request AS q ON q.transfer_id = t.transfer_id
LEFT JOIN signing_key AS k ON k.key_id = q.key_id
LEFT JOIN link_member AS m ON m.link_id = q.link_id AND m.program_id = t.program_id
ORDER BY t.log_index;

-- name: one(instruction_id, kind)^
-- An instruction as it stands, with nobody's lease changed.
SELECT t.instruction_id, t.kind, t.transfer_id, t.program_id, t.points, t.expiry_lots, t.committed, t.attempts, t.state,
    coalesce(t.answer_by <= now(), false), q.payload, q.payload_sha256, m.member, k.public_key
FROM delivery AS t
LEFT JOIN request AS q ON q.transfer_id = t.transfer_id
LEFT JOIN signing_key AS k ON k.key_id = q.key_id
LEFT JOIN link_member AS m ON m.link_id = q.link_id AND m.program_id = t.program_id
WHERE (t.instruction_id, t.kind) = (:instruction_id::uuid, :kind);

-- name: unanswered!
-- What was not told, and never was before, is as it was. Whoever took it since may have told it: then nothing is changed.
UPDATE delivery
SET state = CASE WHEN :told THEN state ELSE 'QUEUED' END, sent_at = CASE WHEN :told THEN sent_at END,
    fault = :fault, next_at = now() + :pause, leased_until = NULL
WHERE (instruction_id, kind) = (:instruction_id::uuid, :kind) AND state = 'SENT' AND attempts = :attempts;

-- name: worked_at!
-- What a program has at work is due at once.
UPDATE delivery SET next_at = now()
WHERE program_id = :program AND state = 'SENT' AND fault = 'AT_WORK' AND next_at > now();

-- name: lock(instruction_id, kind)^
SELECT state, answer_sha256 FROM delivery WHERE (instruction_id, kind) = (:instruction_id::uuid, :kind) FOR UPDATE;

-- name: answers(instruction_id, kind)
-- What was answered so far, the newest first.
SELECT sha256, outcome, points, reason, reference, media_type, content, key_id, signature
FROM delivery_answer WHERE (instruction_id, kind) = (:instruction_id::uuid, :kind) ORDER BY answered_at DESC;

-- name: write_answer!
INSERT INTO delivery_answer (
    instruction_id, kind, sha256, answered_at, outcome, points, reason, reference, media_type, content, key_id, signature
)
VALUES (
    :instruction_id, :kind, :sha256, clock_timestamp(), :outcome, :points, :reason, :reference, :media_type, :content, :key_id, :signature
)
ON CONFLICT DO NOTHING;

-- name: forget_fulfilment!
DELETE FROM fulfilment WHERE transfer_id = :transfer_id::uuid;

-- name: write_fulfilment!
INSERT INTO fulfilment (transfer_id, sealed) VALUES (:transfer_id, :sealed) ON CONFLICT DO NOTHING;

-- name: answered!
UPDATE delivery SET state = 'ANSWERED', answer_sha256 = :sha256, fault = '', next_at = now(), leased_until = NULL
WHERE (instruction_id, kind) = (:instruction_id::uuid, :kind) AND state IN ('QUEUED', 'SENT');

-- name: unbooked(most, lease)
-- Takes answers that are not in the books yet.
WITH due AS (
    SELECT instruction_id, kind FROM delivery
    WHERE state = 'ANSWERED' AND next_at <= now() AND coalesce(leased_until, '-infinity') <= now()
    ORDER BY next_at LIMIT :most
    FOR UPDATE SKIP LOCKED
)
UPDATE delivery AS d SET leased_until = now() + :lease FROM due
WHERE (d.instruction_id, d.kind) = (due.instruction_id, due.kind)
RETURNING d.instruction_id, d.kind, d.transfer_id, d.program_id, d.points, d.committed, d.answer_sha256;

-- name: booked!
UPDATE delivery SET state = 'CONCLUDED', leased_until = NULL
WHERE (instruction_id, kind) = (:instruction_id::uuid, :kind) AND state = 'ANSWERED';

-- name: unproved!
-- What it said counts no longer, so that another answer may.
UPDATE delivery SET state = 'SENT', answer_sha256 = NULL, fault = :fault, next_at = now() + :pause, leased_until = NULL
WHERE (instruction_id, kind) = (:instruction_id::uuid, :kind) AND state = 'ANSWERED';

-- name: postponed!
UPDATE delivery SET next_at = now() + :pause, leased_until = NULL
WHERE (instruction_id, kind) = (:instruction_id::uuid, :kind) AND state = 'ANSWERED';

-- name: lapsed(most)
-- Reserved transfers whose time is over, and of which nothing was told.
SELECT instruction_id FROM delivery
WHERE state = 'QUEUED' AND answer_by <= now() ORDER BY answer_by LIMIT :most;

-- name: backlog()
-- How much waits for each program, and since when.
SELECT program_id, state, count(*),
    greatest(0, extract(epoch FROM now() - min(coalesce(sent_at, next_at))))::double precision,
    count(*) FILTER (WHERE state = 'SENT' AND NOT committed)
FROM delivery WHERE state <> 'CONCLUDED' GROUP BY program_id, state;

-- name: waiting(program, in_doubt, after_index, most)
-- What is not concluded, the oldest first.
SELECT instruction_id, kind, transfer_id, program_id, points, committed, state, attempts, fault, sent_at, next_at, answer_by, log_index
FROM delivery
WHERE state <> 'CONCLUDED' AND (:program::text IS NULL OR program_id = :program::text)
    AND (NOT :in_doubt OR (state = 'SENT' AND NOT committed)) AND log_index > :after_index
ORDER BY log_index LIMIT :most;

-- name: state_of(instruction_id, kind)$
SELECT state FROM delivery WHERE (instruction_id, kind) = (:instruction_id::uuid, :kind);

-- name: fulfilment(transfer_id, partner_id)$
-- The sealed code or certificate of a transfer, for its source alone.
SELECT f.sealed FROM fulfilment AS f JOIN request AS q USING (transfer_id) JOIN partner AS p USING (partner_number)
WHERE f.transfer_id = :transfer_id::uuid AND p.partner_id = :partner_id;
