-- Offers to convert one amount, and the transfers that were committed at them.

-- Nothing rests on a row once its offer has expired: rows may be deleted then.
CREATE TABLE quote (
    quote_id uuid PRIMARY KEY,
    partner_number integer NOT NULL REFERENCES partner,
    -- Of what was asked: a repeated request gets the same offer.
    request_sha256 bytea NOT NULL CHECK (length(request_sha256) = 32),
    agreement_id text NOT NULL,
    version integer NOT NULL,
    -- The bytes that are signed, with the signing key's name inside.
    payload bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    used_by uuid UNIQUE,
    -- Whether its bonus points are held in the promotions' budgets.
    reserves boolean NOT NULL,
    CHECK (used_by IS NULL OR NOT reserves)
);

CREATE INDEX quote_by_expiry ON quote (expires_at);
CREATE INDEX quote_that_reserves ON quote (agreement_id, version, expires_at) WHERE reserves;

-- Counts the quotes that were made or have lapsed, which make no leaf.
ALTER TABLE head ADD COLUMN quote_changes bigint NOT NULL DEFAULT 0;

GRANT UPDATE (quote_changes) ON head TO pointclear_service;
GRANT SELECT, INSERT, DELETE ON quote TO pointclear_service;
GRANT UPDATE (used_by, reserves) ON quote TO pointclear_service;

UPDATE deployment SET schema_revision = 12;
