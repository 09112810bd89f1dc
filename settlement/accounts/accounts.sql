-- What partners' bank accounts rest on besides the journal's entries.

-- name: payees(partner_id)
-- A partner, or all.
SELECT partner_number, partner_id, currency FROM partner
WHERE :partner_id::text IS NULL OR partner_id = :partner_id
ORDER BY partner_id;

-- name: signing_key(key_id)^
-- A key, whose it is, and when it was revoked, if it was.
SELECT k.public_key, k.holder, k.purpose, r.recorded_at
FROM signing_key AS k LEFT JOIN record AS r ON r.log_index = k.revoked_index
WHERE k.key_id = :key_id;
