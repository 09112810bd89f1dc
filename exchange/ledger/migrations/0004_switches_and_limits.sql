-- Caps may be lowered below what is owed, so how low a balance may stand is apart from its floor; switches and limits come in.

ALTER TABLE balance ADD COLUMN lowest bigint;
UPDATE balance SET lowest = floor;
ALTER TABLE balance DROP CONSTRAINT balance_floor;
ALTER TABLE balance ADD CONSTRAINT balance_floor CHECK (credits_posted - debits_posted - debits_pending >= lowest);

CREATE TABLE restraint (
    kind text NOT NULL CHECK (kind IN ('switches', 'limits')),
    subject text NOT NULL,
    body bytea NOT NULL,
    log_index bigint NOT NULL,
    PRIMARY KEY (kind, subject)
);

GRANT SELECT, INSERT ON restraint TO pointclear_service;
GRANT UPDATE (body, log_index) ON restraint TO pointclear_service;
GRANT UPDATE (lowest) ON balance TO pointclear_service;

UPDATE deployment SET schema_revision = 4;
