-- A tax code has rates by date. What a code was is what it has been since ever.

ALTER TABLE tax_rate RENAME TO tax;
ALTER INDEX tax_rate_pkey RENAME TO tax_pkey;
ALTER INDEX tax_rate_tax_number_key RENAME TO tax_tax_number_key;
ALTER TABLE tax RENAME CONSTRAINT tax_rate_tax_number_check TO tax_tax_number_check;
ALTER TABLE tax DROP CONSTRAINT tax_rate_basis_points_check;

CREATE TABLE tax_rate (
    tax_code text NOT NULL REFERENCES tax,
    effective_from timestamptz NOT NULL,
    basis_points integer NOT NULL CHECK (basis_points BETWEEN 0 AND 10000),
    log_index bigint,
    PRIMARY KEY (tax_code, effective_from)
);

INSERT INTO tax_rate (tax_code, effective_from, basis_points)
SELECT tax_code, '1970-01-01 00:00:00+00', basis_points FROM tax;
ALTER TABLE tax DROP COLUMN basis_points;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['tax', 'tax_rate'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION refuse_change()', name);
        EXECUTE format('CREATE TRIGGER never_emptied BEFORE TRUNCATE ON %I EXECUTE FUNCTION refuse_change()', name);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only', name);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER never_emptied', name);
    END LOOP;
END $$;

GRANT SELECT, INSERT ON tax, tax_rate TO pointclear_service;

UPDATE deployment SET schema_revision = 2;
