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

-- name: environment$
SELECT environment FROM deployment;

-- name: partner_states()
-- Each partner's state as it stands.
SELECT DISTINCT ON (partner_number) partner_number, state FROM partner_state ORDER BY partner_number, log_index DESC;

-- name: operators()
-- Each operator's roles as they stand.
SELECT DISTINCT ON (operator) operator, roles FROM operator_roles ORDER BY operator, log_index DESC;

-- name: forces()
SELECT a.agreement_id, a.version, a.payload, lower(f.effective), upper(f.effective)
FROM agreement_force AS f JOIN agreement AS a USING (agreement_id, version, round);

-- name: force_signatures()
-- The signatures under every version that was ever in force.
SELECT s.agreement_id, s.version, s.key_id, s.signature FROM agreement_signature AS s
JOIN agreement_force AS f USING (agreement_id, version, round) ORDER BY s.agreement_id, s.version, s.key_id;

-- name: link_required()
SELECT program_id FROM program WHERE link_required;

-- name: frozen_members()
-- The members whom an operator has frozen, and the links through which.
SELECT m.program_id, m.member, array_agg(m.link_id::text)
FROM link AS l JOIN link_member AS m USING (link_id) WHERE l.frozen GROUP BY m.program_id, m.member;
