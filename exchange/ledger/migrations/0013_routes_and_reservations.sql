-- How instructions reach programs, and transfers that are reserved until their target answers.

ALTER TABLE restraint DROP CONSTRAINT restraint_kind_check;
ALTER TABLE restraint ADD CONSTRAINT restraint_kind_check CHECK (kind IN ('switches', 'limits', 'routes'));

ALTER TABLE record DROP CONSTRAINT record_kind_check;
ALTER TABLE record ADD CONSTRAINT record_kind_check CHECK (kind IN (1, 2, 3, 4, 5));
DROP INDEX record_by_transfer;
CREATE UNIQUE INDEX record_by_transfer ON record (transfer_id, (greatest(kind, 3))) WHERE transfer_id IS NOT NULL;

-- Transfers that were reserved until their target answers, and what became of each.
CREATE TABLE reservation (
    transfer_id uuid PRIMARY KEY,
    partner_number integer NOT NULL REFERENCES partner,
    log_index bigint NOT NULL UNIQUE,
    -- Of the entry with the pending postings: its own, or that of the review before it.
    hold_index bigint NOT NULL UNIQUE,
    -- As of a review.
    facts text NOT NULL,
    verdict text CHECK (verdict IN ('CREDITED', 'DECLINED', 'LAPSED', 'CANCELLED')),
    decided_index bigint UNIQUE,
    CHECK ((verdict IS NULL) = (decided_index IS NULL)),
    CHECK (hold_index <= log_index),
    CHECK (decided_index > log_index)
);

CREATE INDEX reservation_waiting ON reservation (log_index) WHERE decided_index IS NULL;

-- What the systems of programs are to be told, and how far that has come: written with the outcome that asks for it,
-- then moved on by whoever tells them. It names no member: who it is, the stored order says.
CREATE TABLE delivery (
    -- A transfer's id for a credit, a reversal's for what is taken back.
    instruction_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('CREDIT', 'REVERSE')),
    transfer_id uuid NOT NULL,
    program_id text NOT NULL REFERENCES program,
    -- Stands for the member: what is told of one is told in order.
    member_key text NOT NULL,
    points bigint NOT NULL CHECK (points > 0),
    -- Points and expiry of each lot, as JSON.
    expiry_lots text NOT NULL,
    -- Whether its transfer was when it was written; else the answer decides.
    committed boolean NOT NULL,
    log_index bigint NOT NULL,
    -- QUEUED: not told. SENT: may have been told, and no answer is known. ANSWERED: the answer is stored, and the books do not
    -- say so yet. CONCLUDED: nothing is left to do.
    state text NOT NULL DEFAULT 'QUEUED' CHECK (state IN ('QUEUED', 'SENT', 'ANSWERED', 'CONCLUDED')),
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL,
    -- While somebody is at work on it.
    leased_until timestamptz,
    answer_by timestamptz,
    sent_at timestamptz,
    -- Why the newest attempt came to nothing: a name from a short list.
    fault text NOT NULL DEFAULT '',
    PRIMARY KEY (instruction_id, kind)
) WITH (fillfactor = 70);

CREATE INDEX delivery_due ON delivery (program_id, next_at) WHERE state <> 'CONCLUDED';
CREATE INDEX delivery_of_member ON delivery (program_id, member_key, log_index) WHERE state <> 'CONCLUDED';

-- What programs answered, as it came: the first answer is the one that counts, others are kept beside it.
CREATE TABLE delivery_answer (
    instruction_id uuid NOT NULL,
    kind text NOT NULL,
    -- Of what was signed; of what it says where nothing was.
    sha256 bytea NOT NULL CHECK (length(sha256) = 32),
    answered_at timestamptz NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('DONE', 'DECLINED', 'NEVER')),
    points bigint NOT NULL CHECK (points >= 0),
    reason text,
    reference text NOT NULL,
    -- Empty where nothing was signed.
    media_type text NOT NULL,
    content bytea NOT NULL,
    key_id text NOT NULL,
    signature bytea NOT NULL,
    PRIMARY KEY (instruction_id, kind, sha256),
    FOREIGN KEY (instruction_id, kind) REFERENCES delivery
);

-- Codes and certificates that were given in place of points, sealed for the source brand. Apart from all else, so that they
-- can be dropped.
CREATE TABLE fulfilment (
    transfer_id uuid PRIMARY KEY,
    sealed bytea NOT NULL CHECK (length(sealed) BETWEEN 1 AND 2048)
);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON delivery_answer FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER never_emptied BEFORE TRUNCATE ON delivery_answer EXECUTE FUNCTION refuse_change();
ALTER TABLE delivery_answer ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE delivery_answer ENABLE ALWAYS TRIGGER never_emptied;

GRANT SELECT, INSERT ON reservation, delivery, delivery_answer, fulfilment TO pointclear_service;
GRANT UPDATE (verdict, decided_index) ON reservation TO pointclear_service;
GRANT UPDATE (state, attempts, next_at, leased_until, answer_by, sent_at, fault) ON delivery TO pointclear_service;
GRANT DELETE ON fulfilment TO pointclear_service;

UPDATE deployment SET schema_revision = 13;
