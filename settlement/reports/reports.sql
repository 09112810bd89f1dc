-- Report files: the stored file and its digest are the record.

-- name: keep_report(kind, period, partner_number, version, format, sha256, size)!
-- Waits for whoever is storing the same one.
INSERT INTO report_file (kind, period, partner_number, version, format, sha256, size)
VALUES (:kind, :period, :partner_number, :version, :format, :sha256, :size)
ON CONFLICT (period, partner_number, kind, version, format) DO NOTHING;

-- name: keep_part(kind, period, partner_number, version, format, place, content)!
INSERT INTO report_part (kind, period, partner_number, version, format, place, content)
VALUES (:kind, :period, :partner_number, :version, :format, :place, :content);

-- name: report(kind, period, partner_number, version, format)^
SELECT sha256, size FROM report_file
WHERE period = :period AND partner_number = :partner_number AND kind = :kind AND version = :version AND format = :format;

-- name: reports_of(period, partner_number)
-- What is stored of a period for one partner.
SELECT kind, period, partner_number, version, format, sha256, size FROM report_file
WHERE period = :period AND partner_number = :partner_number
ORDER BY kind, version, format;

-- name: part(kind, period, partner_number, version, format, place)$
SELECT content FROM report_part
WHERE period = :period AND partner_number = :partner_number AND kind = :kind AND version = :version AND format = :format
    AND place = :place;

-- name: line_file_named(window_id, partner_number)^
-- A stated window's line file, which is kept in parts of its own.
SELECT f.sha256, (
    SELECT sum(length(p.content))::bigint FROM line_file_part AS p
    WHERE p.window_number = f.window_number AND p.partner_number = f.partner_number)
FROM line_file AS f JOIN settlement_window AS w USING (window_number)
WHERE w.window_id = :window_id AND f.partner_number = :partner_number;

-- name: line_file_part_named(window_id, partner_number, place)$
SELECT p.content FROM line_file_part AS p JOIN settlement_window AS w USING (window_number)
WHERE w.window_id = :window_id AND p.partner_number = :partner_number AND p.part = :place;

-- name: partner_row(partner_id)^
SELECT partner_number, legal_name, currency FROM partner WHERE partner_id = :partner_id;

-- name: partner_names()
-- Every partner's id by its number.
SELECT partner_number, partner_id, legal_name FROM partner ORDER BY partner_number;

-- name: refusals(partner_number, first_seq, last_seq)
-- What a partner ordered in a part of its stream and was refused.
SELECT s.payload
FROM stream_entry AS s JOIN record AS r USING (log_index)
WHERE s.partner_number = :partner_number AND s.stream_seq BETWEEN :first_seq AND :last_seq
    AND r.kind = 2 AND s.payload_kind = 1
ORDER BY s.stream_seq;
