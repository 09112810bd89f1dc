-- Settlement as finance needs it: what its entries are about can be found again, windows can be aborted, and a leg belongs to
-- one version of a statement.

CREATE TABLE entry_fact (
    log_index bigint NOT NULL,
    place smallint NOT NULL,
    kind text NOT NULL,
    currency text NOT NULL REFERENCES unit (name),
    partner_number integer REFERENCES partner,
    window_number integer REFERENCES settlement_window,
    subject text NOT NULL,
    PRIMARY KEY (log_index, place)
);

CREATE INDEX entry_fact_by_kind ON entry_fact (kind, currency, partner_number, log_index);
CREATE INDEX entry_fact_by_subject ON entry_fact (kind, subject);
CREATE INDEX entry_fact_by_window ON entry_fact (window_number, kind) WHERE window_number IS NOT NULL;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON entry_fact FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON entry_fact EXECUTE FUNCTION refuse_change();
ALTER TABLE entry_fact ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE entry_fact ENABLE ALWAYS TRIGGER never_emptied;

GRANT SELECT, INSERT ON entry_fact TO pointclear_service;

ALTER TABLE settlement_window DROP CONSTRAINT settlement_window_state_check;
ALTER TABLE settlement_window ADD CONSTRAINT settlement_window_state_check
    CHECK (state IN ('OPEN', 'CLOSED', 'PENDING_SETTLEMENT', 'SETTLED', 'ABORTED'));

ALTER TABLE leg ADD COLUMN version smallint NOT NULL DEFAULT 1 CHECK (version > 0);
ALTER TABLE leg DROP CONSTRAINT leg_pkey;
ALTER TABLE leg ADD PRIMARY KEY (window_number, partner_number, version);
-- 0: the operator's own.
ALTER TABLE leg DROP CONSTRAINT leg_partner_number_fkey;
ALTER TABLE leg ADD CHECK (partner_number >= 0);

CREATE OR REPLACE VIEW window_net AS
SELECT window_number, party, sum(amount)::bigint AS net
FROM window_sum WHERE code NOT IN (18, 19, 20, 21, 22) GROUP BY window_number, party;

DROP VIEW leg_state;
CREATE VIEW leg_state AS
SELECT leg.window_number, leg.partner_number, leg.reference, leg.amount, leg.version, asked.log_index,
    coalesce(confirmed.log_index, allocated.log_index, arrived.log_index) AS confirmed_index,
    cancelled.log_index AS cancelled_index
FROM leg
LEFT JOIN record AS asked ON asked.entry_key = 'leg/' || leg.reference
LEFT JOIN posting AS confirmed
    ON confirmed.resolves_index = asked.log_index AND confirmed.resolves_place = 0 AND confirmed.phase = 3
LEFT JOIN record AS allocated ON allocated.entry_key = 'allocated/' || leg.reference
LEFT JOIN record AS cancelled ON cancelled.entry_key = 'cancelled/' || leg.reference
LEFT JOIN entry_fact AS drawn ON drawn.kind = 'leg-drawn' AND drawn.subject = leg.reference
LEFT JOIN posting AS arrived
    ON arrived.resolves_index = drawn.log_index AND arrived.resolves_place = 1 AND arrived.phase = 3;

GRANT SELECT ON leg_state TO pointclear_service;

-- Report files, each with its digest: the stored file is the record, whatever made it. In parts, so that large ones stream.
CREATE TABLE report_file (
    kind text NOT NULL,
    -- A window's id, or a month such as 2026-11.
    period text NOT NULL,
    -- 0: the operator's own.
    partner_number integer NOT NULL CHECK (partner_number >= 0),
    version smallint NOT NULL CHECK (version > 0),
    format text NOT NULL,
    sha256 bytea NOT NULL CHECK (length(sha256) = 32),
    size bigint NOT NULL CHECK (size >= 0),
    made_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (period, partner_number, kind, version, format)
);

CREATE TABLE report_part (
    kind text NOT NULL,
    period text NOT NULL,
    partner_number integer NOT NULL,
    version smallint NOT NULL,
    format text NOT NULL,
    place integer NOT NULL CHECK (place >= 0),
    content bytea NOT NULL,
    PRIMARY KEY (period, partner_number, kind, version, format, place),
    FOREIGN KEY (period, partner_number, kind, version, format) REFERENCES report_file
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON report_file FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON report_file EXECUTE FUNCTION refuse_change();
ALTER TABLE report_file ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE report_file ENABLE ALWAYS TRIGGER never_emptied;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON report_part FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON report_part EXECUTE FUNCTION refuse_change();
ALTER TABLE report_part ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE report_part ENABLE ALWAYS TRIGGER never_emptied;

GRANT SELECT, INSERT ON report_file, report_part TO pointclear_service;

-- What waits for the bank: few of the journal's rows, looked for at every file.
CREATE INDEX posting_awaiting_bank ON posting (log_index) WHERE phase = 2 AND code BETWEEN 18 AND 22;

-- Credits that wait until their window is settled, and partners whose bound is their collateral.

-- What each window credits to each partner, entry by entry, less what was paid of it. Where a partner's credits wait until they
-- are settled, `credits_held` of its position is the sum over its windows that are not, none of them below 0.
CREATE TABLE window_credit (
    window_number integer NOT NULL REFERENCES settlement_window,
    partner_number integer NOT NULL REFERENCES partner,
    amount bigint NOT NULL,
    PRIMARY KEY (window_number, partner_number)
) WITH (fillfactor = 50);

GRANT SELECT, INSERT ON window_credit TO pointclear_service;
GRANT UPDATE (amount) ON window_credit TO pointclear_service;

-- What every window has credited so far. A position is 4096 + 2p; points and payments are no credits.
WITH side AS (
    SELECT log_index, window_number, credit AS account_number, amount FROM posting WHERE phase IN (1, 3)
        AND code NOT IN (1, 2, 3, 9, 10, 11, 18, 19, 20, 21, 22)
    UNION ALL
    SELECT log_index, window_number, debit, -amount FROM posting WHERE phase = 1
        AND code NOT IN (1, 2, 3, 9, 10, 11, 18, 19, 20, 21, 22)
), net AS (
    SELECT window_number, ((account_number & 1048575)::integer - 4096) / 2 AS partner_number, sum(amount) AS amount
    FROM side WHERE account_number & 1048575 >= 4096 AND account_number & 1 = 0
    GROUP BY log_index, window_number, account_number
), credited AS (
    SELECT window_number, partner_number, sum(amount) AS amount FROM net WHERE amount > 0 GROUP BY window_number, partner_number
), paid AS (
    SELECT window_number, partner_number, sum(amount) AS amount FROM leg_state
    WHERE amount > 0 AND log_index IS NOT NULL GROUP BY window_number, partner_number
)
INSERT INTO window_credit (window_number, partner_number, amount)
SELECT window_number, partner_number, coalesce(c.amount, 0) - coalesce(p.amount, 0)
FROM credited AS c FULL JOIN paid AS p USING (window_number, partner_number);

ALTER TABLE balance ADD COLUMN credits_held bigint CHECK (credits_held >= 0);
GRANT UPDATE (credits_held) ON balance TO pointclear_service;

-- The credits of partners that are PREPAID already wait from now on, and POSTPAID ones without a cap have no floor any more. The
-- funding is the byte behind the partner's id in the one encoding of its limits.
WITH funded AS (
    SELECT (u.unit_number::bigint << 20) + 4096 + 2 * p.partner_number AS account_number, p.partner_number,
        get_byte(r.body, 5 + get_byte(r.body, 3)) AS funding,
        CASE WHEN octet_length(r.body) > 6 + get_byte(r.body, 3) THEN get_byte(r.body, 6 + get_byte(r.body, 3)) = 24
            ELSE false END AS has_cap
    FROM restraint AS r JOIN partner AS p ON r.subject = 'partner/' || p.partner_id JOIN unit AS u ON u.name = p.currency
    WHERE r.kind = 'limits' AND octet_length(r.body) > 5 + get_byte(r.body, 3) AND get_byte(r.body, 4 + get_byte(r.body, 3)) = 16
), held AS (
    SELECT f.account_number, f.funding, f.has_cap, coalesce((
        SELECT sum(greatest(c.amount, 0)) FROM window_credit AS c JOIN settlement_window AS w USING (window_number)
        WHERE c.partner_number = f.partner_number AND w.state <> 'SETTLED'), 0) AS credits
    FROM funded AS f WHERE f.funding = 2 OR (f.funding = 3 AND NOT f.has_cap)
)
UPDATE balance AS b SET
    credits_held = CASE WHEN h.funding = 2 THEN h.credits END,
    floor = CASE WHEN h.funding = 2 THEN b.floor END,
    lowest = CASE WHEN h.funding = 2
        THEN least(b.floor, b.credits_posted - h.credits - b.debits_posted - b.debits_pending) END
FROM held AS h WHERE b.account_number = h.account_number;

ALTER TABLE balance DROP CONSTRAINT balance_floor;
ALTER TABLE balance ADD CONSTRAINT balance_floor
    CHECK (credits_posted - coalesce(credits_held, 0) - debits_posted - debits_pending >= lowest);

-- Line files in parts.

CREATE TABLE line_file_part (
    window_number integer NOT NULL REFERENCES settlement_window,
    partner_number integer NOT NULL REFERENCES partner,
    part integer NOT NULL CHECK (part >= 0),
    content bytea NOT NULL,
    PRIMARY KEY (window_number, partner_number, part)
);

INSERT INTO line_file_part SELECT window_number, partner_number, 0, content FROM line_file;
ALTER TABLE line_file DROP COLUMN content;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON line_file_part FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON line_file_part EXECUTE FUNCTION refuse_change();
ALTER TABLE line_file_part ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE line_file_part ENABLE ALWAYS TRIGGER never_emptied;

GRANT SELECT, INSERT ON line_file_part TO pointclear_service;

-- What was recorded of money and waits for the bank: few among all postings.
CREATE INDEX posting_waits_for_the_bank ON posting (log_index, place) WHERE phase = 2 AND code BETWEEN 18 AND 22;
-- Reconciliation: partners' own files against our lines. No value is in these tables, and no member's reference.

-- How each partner writes its files; the newest version holds.
CREATE TABLE recon_mapping (
    partner_number integer NOT NULL REFERENCES partner,
    version integer NOT NULL CHECK (version > 0),
    body bytea NOT NULL,
    set_at timestamptz NOT NULL,
    PRIMARY KEY (partner_number, version)
);

-- Parts of a file that is being brought: gone once it was reconciled or refused. It may name members.
CREATE TABLE recon_chunk (
    partner_number integer NOT NULL REFERENCES partner,
    file_sha256 bytea NOT NULL CHECK (length(file_sha256) = 32),
    chunk_offset bigint NOT NULL CHECK (chunk_offset >= 0),
    content bytea NOT NULL,
    came_at timestamptz NOT NULL,
    PRIMARY KEY (partner_number, file_sha256, chunk_offset)
);

ALTER TABLE recon_chunk ALTER COLUMN content SET STORAGE EXTERNAL;

CREATE TABLE recon_run (
    partner_number integer NOT NULL REFERENCES partner,
    run_number integer NOT NULL CHECK (run_number > 0),
    file_sha256 bytea NOT NULL CHECK (length(file_sha256) = 32),
    file_name text NOT NULL,
    mapping_version integer NOT NULL,
    first_window integer NOT NULL REFERENCES settlement_window,
    last_window integer NOT NULL REFERENCES settlement_window,
    file_rows bigint NOT NULL,
    lines bigint NOT NULL,
    matched bigint NOT NULL,
    cleared bigint NOT NULL,
    made_at timestamptz NOT NULL,
    PRIMARY KEY (partner_number, run_number),
    -- The same file again is the same run.
    UNIQUE (partner_number, file_sha256, mapping_version, first_window, last_window),
    FOREIGN KEY (partner_number, mapping_version) REFERENCES recon_mapping
);

-- A difference, from the run that found it first until it is closed.
CREATE TABLE recon_break (
    partner_number integer NOT NULL REFERENCES partner,
    break_number integer NOT NULL CHECK (break_number > 0),
    -- The same difference in another run has the same.
    break_key bytea NOT NULL CHECK (length(break_key) = 32),
    category text NOT NULL,
    state text NOT NULL CHECK (state IN ('OPEN', 'EXPLAINED', 'RESOLVED', 'WRITTEN_OFF')),
    owner text NOT NULL DEFAULT '',
    first_run integer NOT NULL,
    newest_run integer NOT NULL,
    opened_at timestamptz NOT NULL,
    closed_at timestamptz,
    window_number integer NOT NULL REFERENCES settlement_window,
    log_index bigint,
    transfer_id uuid,
    -- The figures of both sides, as JSON.
    body text NOT NULL,
    PRIMARY KEY (partner_number, break_number),
    UNIQUE (partner_number, break_key),
    FOREIGN KEY (partner_number, first_run) REFERENCES recon_run,
    FOREIGN KEY (partner_number, newest_run) REFERENCES recon_run,
    CHECK ((closed_at IS NULL) = (state IN ('OPEN', 'EXPLAINED')))
);

CREATE INDEX recon_break_open ON recon_break (partner_number, break_number) WHERE closed_at IS NULL;

-- Which run found which break.
CREATE TABLE recon_found (
    partner_number integer NOT NULL,
    run_number integer NOT NULL,
    break_number integer NOT NULL,
    category text NOT NULL,
    PRIMARY KEY (partner_number, run_number, break_number),
    FOREIGN KEY (partner_number, run_number) REFERENCES recon_run,
    FOREIGN KEY (partner_number, break_number) REFERENCES recon_break
);

CREATE TABLE recon_event (
    partner_number integer NOT NULL,
    break_number integer NOT NULL,
    event_number integer NOT NULL CHECK (event_number > 0),
    at timestamptz NOT NULL,
    -- A caller's holder, or a run.
    actor text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('OPENED', 'ASSIGNED', 'COMMENTED', 'EXPLAINED', 'RESOLVED', 'WRITTEN_OFF', 'CLEARED', 'CHANGED',
        'REOPENED')),
    text text NOT NULL,
    journal text NOT NULL DEFAULT '',
    PRIMARY KEY (partner_number, break_number, event_number),
    FOREIGN KEY (partner_number, break_number) REFERENCES recon_break
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON recon_mapping FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON recon_mapping EXECUTE FUNCTION refuse_change();
ALTER TABLE recon_mapping ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE recon_mapping ENABLE ALWAYS TRIGGER never_emptied;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON recon_run FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON recon_run EXECUTE FUNCTION refuse_change();
ALTER TABLE recon_run ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE recon_run ENABLE ALWAYS TRIGGER never_emptied;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON recon_found FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON recon_found EXECUTE FUNCTION refuse_change();
ALTER TABLE recon_found ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE recon_found ENABLE ALWAYS TRIGGER never_emptied;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON recon_event FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON recon_event EXECUTE FUNCTION refuse_change();
ALTER TABLE recon_event ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE recon_event ENABLE ALWAYS TRIGGER never_emptied;

GRANT SELECT, INSERT ON recon_mapping, recon_chunk, recon_run, recon_break, recon_found, recon_event TO pointclear_service;
GRANT UPDATE (category, state, owner, newest_run, closed_at, log_index, window_number, body) ON recon_break TO pointclear_service;
GRANT DELETE ON recon_chunk TO pointclear_service;

-- The end: what others add stands above this line.

UPDATE deployment SET schema_revision = 18;
