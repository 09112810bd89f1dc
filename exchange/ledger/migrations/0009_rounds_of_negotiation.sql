-- Agreement versions are negotiated in rounds. What was proposed so far is the first; its proposer is the only one who
-- signed it, or the source where both did.

ALTER TABLE agreement DISABLE TRIGGER append_only;
ALTER TABLE agreement_signature DISABLE TRIGGER append_only;

ALTER TABLE agreement_force DROP CONSTRAINT agreement_force_agreement_id_version_fkey;
ALTER TABLE agreement_signature DROP CONSTRAINT agreement_signature_agreement_id_version_fkey;

ALTER TABLE agreement
    DROP CONSTRAINT agreement_pkey,
    ADD COLUMN round integer NOT NULL DEFAULT 1 CHECK (round > 0),
    ADD COLUMN proposer text REFERENCES partner (partner_id),
    ADD COLUMN signatories text[],
    ADD COLUMN is_counter boolean NOT NULL DEFAULT false,
    ADD COLUMN log_index bigint,
    ADD PRIMARY KEY (agreement_id, version, round);
UPDATE agreement AS a SET signatories = ARRAY[source_partner, target_partner] || funders, proposer = (
    SELECT s.partner_id FROM agreement_signature AS s WHERE (s.agreement_id, s.version) = (a.agreement_id, a.version)
    ORDER BY s.partner_id = a.source_partner DESC LIMIT 1);
ALTER TABLE agreement
    ALTER COLUMN round DROP DEFAULT,
    ALTER COLUMN is_counter DROP DEFAULT,
    DROP COLUMN funders,
    ALTER COLUMN proposer SET NOT NULL,
    ALTER COLUMN signatories SET NOT NULL;

ALTER TABLE agreement_signature
    DROP CONSTRAINT agreement_signature_pkey,
    ADD COLUMN round integer NOT NULL DEFAULT 1,
    ADD COLUMN log_index bigint,
    ADD PRIMARY KEY (agreement_id, version, round, partner_id),
    ADD FOREIGN KEY (agreement_id, version, round) REFERENCES agreement;
ALTER TABLE agreement_signature ALTER COLUMN round DROP DEFAULT;

ALTER TABLE agreement_force
    ADD COLUMN round integer NOT NULL DEFAULT 1,
    ADD FOREIGN KEY (agreement_id, version, round) REFERENCES agreement;
ALTER TABLE agreement_force ALTER COLUMN round DROP DEFAULT;

ALTER TABLE agreement ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE agreement_signature ENABLE ALWAYS TRIGGER append_only;

CREATE TABLE agreement_withdrawal (
    agreement_id text NOT NULL,
    version integer NOT NULL,
    round integer NOT NULL,
    log_index bigint NOT NULL,
    PRIMARY KEY (agreement_id, version, round),
    FOREIGN KEY (agreement_id, version, round) REFERENCES agreement
);

CREATE TABLE agreement_termination (
    agreement_id text NOT NULL,
    version integer NOT NULL,
    effective_until timestamptz NOT NULL,
    log_index bigint NOT NULL,
    PRIMARY KEY (agreement_id, version, effective_until),
    FOREIGN KEY (agreement_id, version) REFERENCES agreement_force
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['agreement_withdrawal', 'agreement_termination'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION refuse_change()', name);
        EXECUTE format('CREATE TRIGGER never_emptied BEFORE TRUNCATE ON %I EXECUTE FUNCTION refuse_change()', name);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only', name);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER never_emptied', name);
    END LOOP;
END $$;

GRANT SELECT, INSERT ON agreement_withdrawal, agreement_termination TO pointclear_service;

UPDATE deployment SET schema_revision = 9;
