-- Whether anything was lost between two windows.

-- name: counts()
-- Committed transfers, and those whose postings are not all in the one window whose range of the log holds them.
SELECT count(*), count(*) FILTER (WHERE w.window_number IS NULL OR p.lowest <> w.window_number OR p.highest <> w.window_number)
FROM record AS r
JOIN (
    SELECT log_index, min(window_number) AS lowest, max(window_number) AS highest FROM posting GROUP BY log_index
) AS p USING (log_index)
LEFT JOIN settlement_window AS w
    ON r.log_index >= w.first_index AND (w.end_index IS NULL OR r.log_index < w.end_index)
WHERE r.kind = 1;

-- name: closed_windows()
SELECT window_id FROM settlement_window WHERE state = 'CLOSED' ORDER BY window_number;

-- name: streams_of(window_id)
SELECT s.payload FROM stream_entry AS s
JOIN settlement_window AS w ON s.log_index >= w.first_index AND s.log_index < w.end_index
WHERE w.window_id = :window_id
ORDER BY s.partner_number, s.stream_seq;
