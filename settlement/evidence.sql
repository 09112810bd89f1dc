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
