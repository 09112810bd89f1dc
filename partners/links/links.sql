-- What callers may read of links, always scoped by the caller.

-- name: listed(programs, state, program, member, lapsed_from, before_id, links_max)
-- The newest links before one; of these programs, or of all. A state is the one that is shown.
SELECT l.link_id::text, l.source_program, l.target_program, l.state, l.frozen, l.log_index, l.started_at, l.confirmed_at,
    l.method, l.consent_version, s.member, t.member
FROM link AS l
LEFT JOIN link_member AS s ON (s.link_id, s.program_id) = (l.link_id, l.source_program)
LEFT JOIN link_member AS t ON (t.link_id, t.program_id) = (l.link_id, l.target_program)
WHERE (:programs::text[] IS NULL OR l.source_program = ANY (:programs) OR l.target_program = ANY (:programs))
    AND (:program::text IS NULL OR :program IN (l.source_program, l.target_program))
    AND (:member::text IS NULL OR l.link_id IN (
        SELECT link_id FROM link_member WHERE program_id = ANY (:programs) AND member = :member))
    AND (:state::text IS NULL OR :state = CASE
        WHEN l.state = 'REVOKED' THEN 'REVOKED'
        WHEN l.frozen THEN 'FROZEN'
        WHEN l.state = 'PENDING' AND l.started_at <= :lapsed_from::timestamptz THEN 'LAPSED'
        ELSE l.state END)
    AND (:before_id::uuid IS NULL OR l.link_id < :before_id::uuid)
ORDER BY l.link_id DESC LIMIT :links_max;

-- name: link(link_id)^
SELECT l.link_id::text, l.source_program, l.target_program, l.state, l.frozen, l.log_index, l.started_at, l.confirmed_at,
    l.method, l.consent_version, s.member, t.member
FROM link AS l
LEFT JOIN link_member AS s ON (s.link_id, s.program_id) = (l.link_id, l.source_program)
LEFT JOIN link_member AS t ON (t.link_id, t.program_id) = (l.link_id, l.target_program)
WHERE l.link_id = :link_id::uuid;

-- name: member_links(program, member)$
-- How many links hold a reference.
SELECT count(*) FROM link_member WHERE program_id = :program AND member = :member;

-- name: count_look_up(partner_number, day, per_day)$
-- Takes one of a partner's look-ups of a day; nothing where none is left. A day that was, where a clock went back, is
-- counted as the newest.
INSERT INTO look_up_tally AS t (partner_number, day, asked) VALUES (:partner_number, :day, 1)
ON CONFLICT (partner_number) DO UPDATE
SET day = greatest(t.day, excluded.day), asked = CASE WHEN t.day < excluded.day THEN 1 ELSE t.asked + 1 END
WHERE t.day < excluded.day OR t.asked < :per_day
RETURNING asked;
