-- Promotions have budgets; their funders sign the terms, and get notices of what they pay.

ALTER TABLE agreement ADD COLUMN funders text[] NOT NULL DEFAULT '{}';

ALTER TABLE stream_entry DROP CONSTRAINT stream_entry_payload_kind_check;
ALTER TABLE stream_entry ADD CONSTRAINT stream_entry_payload_kind_check CHECK (payload_kind IN (1, 2, 3));

CREATE TABLE promotion (
    agreement_id text NOT NULL,
    version integer NOT NULL,
    promotion_id text NOT NULL,
    budget_points bigint NOT NULL CHECK (budget_points > 0),
    granted_points bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (agreement_id, version, promotion_id),
    FOREIGN KEY (agreement_id, version) REFERENCES agreement_force,
    CONSTRAINT promotion_within_budget CHECK (granted_points BETWEEN 0 AND budget_points)
) WITH (fillfactor = 50);

GRANT SELECT, INSERT ON promotion TO pointclear_service;
GRANT UPDATE (granted_points) ON promotion TO pointclear_service;

UPDATE deployment SET schema_revision = 7;
