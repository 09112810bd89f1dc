-- A source asks for points to be taken back, and the target's program answers.

ALTER TABLE record DROP CONSTRAINT record_kind_check;
ALTER TABLE record ADD CONSTRAINT record_kind_check CHECK (kind IN (1, 2, 3, 4, 5, 6, 7, 8));
ALTER TABLE reservation DROP CONSTRAINT reservation_verdict_check;
ALTER TABLE reservation ADD CONSTRAINT reservation_verdict_check
CHECK (verdict IN ('CREDITED', 'DECLINED', 'LAPSED', 'CANCELLED', 'TAKEN_BACK'));
CREATE INDEX delivery_of_reversal ON delivery (transfer_id) WHERE kind = 'REVERSE' AND state <> 'CONCLUDED';

UPDATE deployment SET schema_revision = 15;
