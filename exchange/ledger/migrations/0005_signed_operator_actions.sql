-- Operators have roles, and whatever they change is a signed action.
-- Each row is all that the operator may do from then on.
CREATE TABLE operator_roles (
    operator text NOT NULL,
    log_index bigint NOT NULL,
    roles text[] NOT NULL CHECK (roles <@ ARRAY['operator', 'rates', 'finance-maker', 'finance-checker', 'auditor']),
    PRIMARY KEY (operator, log_index)
);

-- What operators signed, as it came, with the maker's signature.
CREATE TABLE operator_action (
    action_id uuid PRIMARY KEY,
    maker text NOT NULL,
    method text NOT NULL,
    payload bytea NOT NULL,
    key_id text NOT NULL REFERENCES signing_key,
    signature bytea NOT NULL CHECK (length(signature) = 64),
    two_person boolean NOT NULL,
    log_index bigint NOT NULL UNIQUE,
    recorded_at timestamptz NOT NULL,
    UNIQUE (action_id, maker)
);

CREATE TABLE action_approval (
    action_id uuid PRIMARY KEY,
    maker text NOT NULL,
    checker text NOT NULL,
    key_id text NOT NULL REFERENCES signing_key,
    signature bytea NOT NULL CHECK (length(signature) = 64),
    log_index bigint NOT NULL UNIQUE,
    recorded_at timestamptz NOT NULL,
    FOREIGN KEY (action_id, maker) REFERENCES operator_action (action_id, maker),
    -- The last line behind the code that should have refused.
    CONSTRAINT checker_is_not_maker CHECK (checker <> maker)
);

-- The first answer to each action; every repeat gets it again.
CREATE TABLE action_outcome (
    action_id uuid PRIMARY KEY REFERENCES operator_action,
    ended_at timestamptz NOT NULL,
    response bytea,
    refused_reason text,
    refused_field text,
    refused_text text,
    CHECK ((response IS NULL) = (refused_reason IS NOT NULL)),
    CHECK ((refused_reason IS NULL) = (refused_field IS NULL)),
    CHECK ((refused_reason IS NULL) = (refused_text IS NULL))
);

-- The requests that actions name by digest. Apart from them, so that it can be dropped and the trail stands.
CREATE TABLE action_request (
    action_id uuid PRIMARY KEY REFERENCES operator_action,
    request bytea NOT NULL
);

-- Whoever was an operator could do everything.
INSERT INTO operator_roles (operator, log_index, roles)
SELECT substr(holder, 10), min(registered_index), ARRAY['auditor', 'finance-checker', 'finance-maker', 'operator', 'rates']
FROM signing_key WHERE holder LIKE 'operator/%' GROUP BY holder;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['operator_roles', 'operator_action', 'action_approval', 'action_outcome'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION refuse_change()', name);
        EXECUTE format('CREATE TRIGGER never_emptied BEFORE TRUNCATE ON %I EXECUTE FUNCTION refuse_change()', name);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only', name);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER never_emptied', name);
    END LOOP;
END $$;

GRANT SELECT, INSERT ON operator_roles, operator_action, action_approval, action_outcome, action_request TO pointclear_service;

UPDATE deployment SET schema_revision = 5;
