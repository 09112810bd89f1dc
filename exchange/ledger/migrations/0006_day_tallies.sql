-- Limits on what is done in a day have something to be counted in.

CREATE TABLE day_tally (
    subject text PRIMARY KEY,
    day integer NOT NULL,
    transfers bigint NOT NULL CHECK (transfers >= 0),
    amount bigint NOT NULL CHECK (amount >= 0)
) WITH (fillfactor = 50);

CREATE TABLE member_secret (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    secret bytea NOT NULL CHECK (length(secret) = 32)
);

INSERT INTO member_secret VALUES (true, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

GRANT SELECT, INSERT, DELETE ON day_tally TO pointclear_service;
GRANT UPDATE (day, transfers, amount) ON day_tally TO pointclear_service;
GRANT SELECT ON member_secret TO pointclear_service;

UPDATE deployment SET schema_revision = 6;
