-- Links between members' accounts, and orders that can be emptied when a person is to be forgotten.

-- Two accounts of one member. What was signed and decided is in the log; this is where it stands.
CREATE TABLE link (
    link_id uuid PRIMARY KEY,
    -- Of the brand that started it, and of the one that is to confirm it.
    source_program text NOT NULL REFERENCES program,
    target_program text NOT NULL REFERENCES program,
    state text NOT NULL CHECK (state IN ('PENDING', 'ACTIVE', 'REVOKED')),
    frozen boolean NOT NULL,
    -- Of the entry that brought it to its state.
    log_index bigint NOT NULL,
    started_at timestamptz NOT NULL,
    confirmed_at timestamptz,
    method text,
    consent_version text,
    CHECK (source_program <> target_program),
    CHECK (state <> 'ACTIVE' OR confirmed_at IS NOT NULL)
);

CREATE INDEX frozen_link ON link (link_id) WHERE frozen;

-- The references of a link, each with the salt of its commitment. Rows are deleted when a person is to be forgotten.
CREATE TABLE link_member (
    link_id uuid NOT NULL REFERENCES link,
    partner_number integer NOT NULL REFERENCES partner,
    program_id text NOT NULL REFERENCES program,
    member text NOT NULL,
    salt bytea NOT NULL CHECK (length(salt) = 32),
    PRIMARY KEY (link_id, partner_number)
);

CREATE INDEX link_member_by_reference ON link_member (program_id, member);
CREATE INDEX link_member_by_partner ON link_member (partner_number, link_id);

-- Look-ups of members in a UTC day, so that nobody tries references out. May be emptied at any time.
CREATE TABLE look_up_tally (
    partner_number integer PRIMARY KEY REFERENCES partner,
    day date NOT NULL,
    asked integer NOT NULL CHECK (asked > 0)
);

ALTER TABLE program ADD COLUMN link_required boolean NOT NULL DEFAULT false;

ALTER TABLE request ADD COLUMN link_id uuid;

-- Empties the orders of members who are to be forgotten: payload and signature, by which a reference could be guessed. The
-- digest stays, so that a repeat is answered as before. The service may do this to an order and nothing else.
CREATE FUNCTION empty_requests(ids uuid[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE request SET payload = '', signature = decode(repeat('00', 64), 'hex') WHERE transfer_id = ANY (ids)
$$;

GRANT SELECT, INSERT ON link, link_member, look_up_tally TO pointclear_service;
GRANT UPDATE (link_required) ON program TO pointclear_service;
GRANT UPDATE (state, frozen, log_index, confirmed_at, method, consent_version) ON link TO pointclear_service;
GRANT UPDATE (day, asked) ON look_up_tally TO pointclear_service;
GRANT DELETE ON link_member TO pointclear_service;
REVOKE EXECUTE ON FUNCTION empty_requests(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION empty_requests(uuid[]) TO pointclear_service;

UPDATE deployment SET schema_revision = 3;
