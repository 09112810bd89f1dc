-- Partners have a life, and a deployment says what it is for.

ALTER TABLE deployment ADD COLUMN environment text CHECK (environment IN ('development', 'sandbox', 'production'));
GRANT UPDATE (environment) ON deployment TO pointclear_service;

-- The steps of each partner's life; the newest says how it stands.
CREATE TABLE partner_state (
    partner_number integer NOT NULL REFERENCES partner,
    log_index bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('SANDBOX', 'LIVE', 'SUSPENDED', 'EXITED')),
    PRIMARY KEY (partner_number, log_index)
);

-- Whoever was registered traded.
INSERT INTO partner_state (partner_number, log_index, state) SELECT partner_number, registered_index, 'LIVE' FROM partner;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON partner_state FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON partner_state EXECUTE FUNCTION refuse_change();
ALTER TABLE partner_state ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE partner_state ENABLE ALWAYS TRIGGER never_emptied;
GRANT SELECT, INSERT ON partner_state TO pointclear_service;

UPDATE deployment SET schema_revision = 8;
