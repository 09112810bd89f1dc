-- Who takes part, as the registry's snapshot is made from it.

-- name: terms_revision$
SELECT terms_revision FROM head;

-- name: audience$
SELECT audience FROM deployment;

-- name: units()
SELECT unit_number, name, scale FROM unit;

-- name: partners()
SELECT p.partner_number, p.partner_id, p.legal_name, array_agg(g.program_id ORDER BY g.place), p.currency, p.net_debit_cap
FROM partner AS p JOIN program AS g USING (partner_number) GROUP BY p.partner_number;

-- name: taxes()
SELECT tax_code, tax_number FROM tax;

-- name: tax_rates()
-- Every rate of every code, the oldest first.
SELECT tax_code, effective_from, basis_points FROM tax_rate ORDER BY tax_code, effective_from;

-- name: keys()
SELECT key_id, holder, purpose, public_key, valid_from, valid_until, registered_index, revoked_index FROM signing_key;

-- name: restraints()
SELECT kind, body FROM restraint ORDER BY kind, subject;

-- name: forces()
SELECT a.payload, lower(f.effective), upper(f.effective)
FROM agreement_force AS f JOIN agreement AS a USING (agreement_id, version);

-- name: force_signatures()
-- The signatures under every version that was ever in force.
SELECT s.agreement_id, s.version, s.key_id, s.signature FROM agreement_signature AS s
JOIN agreement_force AS f USING (agreement_id, version) ORDER BY s.agreement_id, s.version, s.key_id;

-- name: link_required()
SELECT program_id FROM program WHERE link_required;

-- name: frozen_members()
-- The members whom an operator has frozen, and the links through which.
SELECT m.program_id, m.member, array_agg(m.link_id::text)
FROM link AS l JOIN link_member AS m USING (link_id) WHERE l.frozen GROUP BY m.program_id, m.member;

-- name: propose!
-- Stores a version's payload; a repeat changes nothing.
INSERT INTO agreement (agreement_id, version, source_partner, target_partner, payload)
VALUES (:agreement_id, :version, :source_partner, :target_partner, :payload) ON CONFLICT DO NOTHING;

-- name: add_signature!
INSERT INTO agreement_signature (agreement_id, version, partner_id, key_id, signature)
VALUES (:agreement_id, :version, :partner_id, :key_id, :signature) ON CONFLICT DO NOTHING;

-- name: agreement_payload$
SELECT payload FROM agreement WHERE agreement_id = :agreement_id AND version = :version;

-- name: agreement_signatures(agreement_id, version)
SELECT partner_id, key_id, signature FROM agreement_signature
WHERE agreement_id = :agreement_id AND version = :version ORDER BY partner_id;

-- name: agreements(partner_id)
-- All versions, or those to which a partner is a party.
SELECT a.agreement_id, a.version, a.payload, lower(f.effective), upper(f.effective),
    (SELECT json_agg(json_build_array(s.key_id, encode(s.signature, 'hex')) ORDER BY s.partner_id)
     FROM agreement_signature AS s WHERE (s.agreement_id, s.version) = (a.agreement_id, a.version))
FROM agreement AS a LEFT JOIN agreement_force AS f USING (agreement_id, version)
WHERE :partner_id::text IS NULL OR :partner_id::text IN (a.source_partner, a.target_partner)
ORDER BY a.agreement_id, a.version;
