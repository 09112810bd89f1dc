-- What was negotiated, as callers may see it: all for an operator (no partner), else what the partner is to sign.

-- name: versions(partner_id, agreement_id, version, after_id, after_version, rows_max)
-- The newest proposal of each version after one, or of the one that is named.
SELECT * FROM (
    SELECT DISTINCT ON (a.agreement_id, a.version)
        a.agreement_id, a.version, a.payload, lower(f.effective), upper(f.effective),
        EXISTS (
            SELECT FROM agreement_termination AS t
            WHERE (t.agreement_id, t.version, t.effective_until) = (a.agreement_id, a.version, upper(f.effective))),
        (SELECT json_agg(json_build_array(s.partner_id, s.key_id, encode(s.signature, 'hex')) ORDER BY s.log_index, s.partner_id)
         FROM agreement_signature AS s WHERE (s.agreement_id, s.version, s.round) = (a.agreement_id, a.version, a.round)),
        a.round, a.proposer, sha256(a.payload), a.signatories, a.is_counter,
        EXISTS (SELECT FROM agreement_withdrawal AS w WHERE (w.agreement_id, w.version, w.round) = (a.agreement_id, a.version, a.round))
    FROM agreement AS a LEFT JOIN agreement_force AS f USING (agreement_id, version)
    WHERE (a.agreement_id, a.version) > (:after_id, :after_version)
        AND (:agreement_id::text IS NULL OR (a.agreement_id, a.version) = (:agreement_id, :version))
    ORDER BY a.agreement_id, a.version, a.round DESC
) AS newest
WHERE :partner_id::text IS NULL OR :partner_id::text = ANY (signatories)
ORDER BY agreement_id, version LIMIT :rows_max;

-- name: rounds(partner_id, agreement_id, version)
-- Every proposal of a version, the first one first.
SELECT a.payload,
    (SELECT json_agg(json_build_array(s.partner_id, s.key_id, encode(s.signature, 'hex')) ORDER BY s.log_index, s.partner_id)
     FROM agreement_signature AS s WHERE (s.agreement_id, s.version, s.round) = (a.agreement_id, a.version, a.round)),
    a.round, a.proposer, sha256(a.payload), a.signatories, a.is_counter,
    EXISTS (SELECT FROM agreement_withdrawal AS w WHERE (w.agreement_id, w.version, w.round) = (a.agreement_id, a.version, a.round))
FROM agreement AS a
WHERE (a.agreement_id, a.version) = (:agreement_id, :version)
    AND (:partner_id::text IS NULL OR :partner_id::text = ANY (signatories))
ORDER BY a.round;

-- name: log_time$
-- Time of the newest leaf.
SELECT recorded_at FROM head;
