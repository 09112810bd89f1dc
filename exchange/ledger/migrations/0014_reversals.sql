-- Transfers can be reversed, in parts: a reversal order is a request and has a record like an order.

ALTER TABLE record DROP CONSTRAINT record_kind_check;
ALTER TABLE record ADD CONSTRAINT record_kind_check CHECK (kind IN (1, 2, 3, 4, 5, 6, 7));
ALTER TABLE stream_entry DROP CONSTRAINT stream_entry_payload_kind_check;
ALTER TABLE stream_entry ADD CONSTRAINT stream_entry_payload_kind_check CHECK (payload_kind IN (1, 2, 3, 4));
ALTER TABLE request ADD COLUMN is_reversal boolean NOT NULL DEFAULT false;

CREATE TABLE reversed_transfer (
    transfer_id uuid PRIMARY KEY,
    reversed_points bigint NOT NULL,
    credited_points bigint NOT NULL,
    CONSTRAINT reversed_within_credit CHECK (reversed_points BETWEEN 1 AND credited_points)
) WITH (fillfactor = 50);

GRANT SELECT, INSERT ON reversed_transfer TO pointclear_service;
GRANT UPDATE (reversed_points) ON reversed_transfer TO pointclear_service;

UPDATE deployment SET schema_revision = 14;
