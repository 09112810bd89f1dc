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

-- name: balances_at(unit_number, log_index)
-- Posted balances of a unit's accounts before an entry of the log, credits less debits: from the journal, since a balance
-- row tells of now.
SELECT a.name, sum(moved.amount)::bigint
FROM (
    SELECT p.credit AS account_number, p.amount FROM posting AS p
    WHERE p.log_index < :log_index AND p.phase IN (1, 3) AND p.credit >> 20 = :unit_number
    UNION ALL
    SELECT p.debit, - p.amount FROM posting AS p
    WHERE p.log_index < :log_index AND p.phase IN (1, 3) AND p.debit >> 20 = :unit_number
) AS moved JOIN account AS a USING (account_number)
GROUP BY a.name ORDER BY a.name;

-- name: last_bank_file_before(currency, prefix, log_index)^
-- The bank's last file of an account, by the prefix of its facts, before an entry of the log.
SELECT r.record FROM entry_fact AS f JOIN record AS r USING (log_index)
WHERE f.kind = 'bank_file' AND f.currency = :currency AND starts_with(f.subject, :prefix) AND f.log_index < :log_index
ORDER BY f.log_index DESC LIMIT 1;

-- Exports ---------------------------------------------------------------------------------------------------------

-- name: booked_accounts()
-- Every account that anything was ever posted to, with its unit and its posted balance, debits less credits.
SELECT a.account_number, a.name, u.name, u.scale, b.debits_posted - b.credits_posted
FROM account AS a JOIN unit AS u USING (unit_number) JOIN balance AS b USING (account_number)
WHERE b.debits_posted <> 0 OR b.credits_posted <> 0
ORDER BY a.account_number;

-- name: movements()
-- What each account gained, debits less credits, by window, corridor and code. A transfer's corridor is that of its points;
-- what no window counts stands under the day of the log.
WITH corridor AS (
    SELECT log_index, max(debit >> 20) FILTER (WHERE code IN (1, 9)) AS source_unit,
        max(debit >> 20) FILTER (WHERE code IN (2, 10)) AS target_unit
    FROM posting WHERE phase IN (1, 3) AND code IN (1, 2, 9, 10)
    GROUP BY log_index
),
moved AS (
    SELECT p.window_number, r.recorded_at, c.source_unit, c.target_unit, p.code, side.account_number,
        sum(CASE WHEN side.account_number = p.debit THEN p.amount ELSE - p.amount END)::numeric AS amount
    FROM posting AS p
    CROSS JOIN LATERAL (VALUES (p.debit), (p.credit)) AS side (account_number)
    LEFT JOIN corridor AS c USING (log_index)
    LEFT JOIN record AS r ON p.window_number IS NULL AND r.log_index = p.log_index
    WHERE p.phase IN (1, 3)
    GROUP BY p.window_number, r.recorded_at, c.source_unit, c.target_unit, p.code, side.account_number
)
SELECT coalesce(w.business_date, (m.recorded_at AT TIME ZONE 'UTC')::date) AS day, w.window_id, source.program_id,
    target.program_id, m.code, m.account_number, sum(m.amount)::bigint
FROM moved AS m
LEFT JOIN settlement_window AS w USING (window_number)
LEFT JOIN program AS source ON source.unit_number = m.source_unit
LEFT JOIN program AS target ON target.unit_number = m.target_unit
GROUP BY day, w.window_id, source.program_id, target.program_id, m.code, m.account_number
ORDER BY day, w.window_id NULLS FIRST, source.program_id NULLS FIRST, target.program_id NULLS FIRST, m.code, m.account_number;

-- name: line_files()
-- The line files of stated windows.
SELECT w.window_id, p.partner_id
FROM line_file AS f JOIN settlement_window AS w USING (window_number) JOIN partner AS p USING (partner_number)
WHERE w.state NOT IN ('OPEN', 'CLOSED')
ORDER BY w.window_number, p.partner_number;

-- name: statement_records()
-- Every statement's entry, each version its own.
SELECT record FROM record WHERE entry_key >= 'statement/' AND entry_key < 'statement0' ORDER BY log_index;
