-- What an adapter keeps of a file program: what it was handed, what stands in which batch, what was answered.

-- name: program^
SELECT audience, partner_id, program, journal_id FROM program;

-- name: add_program!
INSERT INTO program (audience, partner_id, program, journal_id)
VALUES (:audience, :partner_id, :program, :journal_id);

-- name: instruction^
SELECT * FROM instruction WHERE instruction_id = :instruction_id AND kind = :kind;

-- name: add_instruction!
INSERT INTO instruction
(instruction_id, kind, inquiry, transfer_id, member, points, committed, expiry_lots, order_sha256, handed_over_at)
VALUES
(:instruction_id, :kind, :inquiry, :transfer_id, :member, :points, :committed, :expiry_lots, :order_sha256, :handed_over_at);

-- name: waiting^
SELECT count(*) AS instructions, min(handed_over_at) AS since FROM instruction WHERE batch IS NULL;

-- name: add_batch^
INSERT INTO batch (number, created_at)
SELECT coalesce(max(number), 0) + 1, :created_at FROM batch RETURNING number;

-- name: fill_batch!
-- In the order in which they were handed over, which is what keeps the order of one member's.
UPDATE instruction SET batch = :number
WHERE seq IN (SELECT seq FROM instruction WHERE batch IS NULL ORDER BY seq LIMIT :instructions_max);

-- name: unsent
SELECT number, created_at FROM batch WHERE sent_at IS NULL ORDER BY number;

-- name: of_batch
SELECT * FROM instruction WHERE batch = :number ORDER BY seq;

-- name: mark_sent!
UPDATE batch SET sent_at = :sent_at WHERE number = :number AND sent_at IS NULL;

-- name: answer!
UPDATE instruction
SET outcome = :outcome, points_moved = :points_moved, reason = :reason, reference = :reference,
    decided_at = :decided_at, evidence = :evidence, key_id = :key_id, signature = :signature, result_file = :result_file
WHERE instruction_id = :instruction_id AND kind = :kind AND outcome IS NULL AND batch IS NOT NULL;

-- name: add_result_file!
INSERT INTO result_file (file_id, sha256, taken_at) VALUES (:file_id, :sha256, :taken_at);

-- name: result_file^
SELECT sha256 FROM result_file WHERE file_id = :file_id;

-- name: forgettable
-- Batches wholly answered by files that were taken before an instant, and not yet forgotten.
SELECT b.number, b.created_at FROM batch AS b
WHERE b.sent_at IS NOT NULL AND b.forgotten_at IS NULL AND NOT EXISTS (
    SELECT 1 FROM instruction AS i LEFT JOIN result_file AS f ON f.file_id = i.result_file
    WHERE i.batch = b.number AND (f.taken_at IS NULL OR f.taken_at >= :before)
) ORDER BY b.number;

-- name: forget_members!
UPDATE instruction SET member = NULL WHERE batch = :number;

-- name: mark_forgotten!
UPDATE batch SET forgotten_at = :forgotten_at WHERE number = :number;
