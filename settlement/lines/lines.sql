-- The entries of a stream that lines are read from, and the line files that are kept.

-- name: stream_payloads(partner_number, first_seq, last_seq)
-- A part of a partner's stream, with its own orders while they are stored. For what it was told and did not order itself
-- neither record nor order is looked up.
SELECT s.payload_kind, s.payload, q.payload
FROM stream_entry AS s
LEFT JOIN record AS r ON r.log_index = CASE WHEN s.payload_kind IN (1, 4) THEN s.log_index END
LEFT JOIN request AS q ON q.transfer_id = r.transfer_id AND q.partner_number = s.partner_number
WHERE s.partner_number = :partner_number AND s.stream_seq BETWEEN :first_seq AND :last_seq
ORDER BY s.stream_seq;

-- name: keep_line_file(window_number, partner_number, sha256)!
INSERT INTO line_file (window_number, partner_number, sha256) VALUES (:window_number, :partner_number, :sha256);

-- name: keep_line_file_part(window_number, partner_number, part, content)!
INSERT INTO line_file_part (window_number, partner_number, part, content)
VALUES (:window_number, :partner_number, :part, :content);

-- name: line_file(window_id, partner_id)^
-- A line file's window, partner and digest.
SELECT f.window_number, f.partner_number, f.sha256
FROM line_file AS f JOIN settlement_window AS w USING (window_number) JOIN partner AS p USING (partner_number)
WHERE w.window_id = :window_id AND p.partner_id = :partner_id;

-- name: line_file_part(window_number, partner_number, part)$
SELECT content FROM line_file_part
WHERE window_number = :window_number AND partner_number = :partner_number AND part = :part;
