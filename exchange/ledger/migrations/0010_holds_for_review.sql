-- A transfer may be held for review: it has a record of that, and another of how it ends.

ALTER TABLE record DROP CONSTRAINT record_kind_check;
ALTER TABLE record ADD CONSTRAINT record_kind_check CHECK (kind IN (1, 2, 3, 4));
DROP INDEX record_by_transfer;
CREATE UNIQUE INDEX record_by_transfer ON record (transfer_id, (kind = 4)) WHERE transfer_id IS NOT NULL;

CREATE TABLE review (
    transfer_id uuid PRIMARY KEY,
    partner_number integer NOT NULL REFERENCES partner,
    log_index bigint NOT NULL UNIQUE,
    facts text NOT NULL,
    verdict text CHECK (verdict IN ('RELEASED', 'REFUSED', 'CANCELLED')),
    decided_index bigint UNIQUE,
    CHECK ((verdict IS NULL) = (decided_index IS NULL)),
    CHECK (decided_index > log_index)
);

CREATE INDEX review_waiting ON review (log_index) WHERE decided_index IS NULL;

GRANT SELECT, INSERT ON review TO pointclear_service;
GRANT UPDATE (verdict, decided_index) ON review TO pointclear_service;

UPDATE deployment SET schema_revision = 10;
