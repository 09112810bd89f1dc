-- SQLite. One file per program. Points are integers, times are RFC 3339 in UTC with microseconds, so that they sort.
-- Statements are told apart by their semicolons: none may stand in a comment.

CREATE TABLE program (
    audience text NOT NULL,
    partner_id text NOT NULL,
    program text NOT NULL,
    -- Random. It stands in the brand's folder too, so that no other journal numbers batches there.
    journal_id text NOT NULL
) STRICT;

CREATE TABLE batch (
    number integer PRIMARY KEY CHECK (number > 0),
    created_at text NOT NULL,
    sent_at text,
    -- When the file was removed and its members were forgotten.
    forgotten_at text
) STRICT;

-- What was taken.
CREATE TABLE result_file (
    file_id text PRIMARY KEY,
    sha256 text NOT NULL,
    taken_at text NOT NULL
) STRICT;

CREATE TABLE instruction (
    seq integer PRIMARY KEY AUTOINCREMENT,
    instruction_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('CREDIT', 'REVERSE')),
    -- 1: only what became of it is asked, and of what it is about nothing is known.
    inquiry integer NOT NULL CHECK (inquiry IN (0, 1)),
    transfer_id text,
    -- NULL when it was forgotten.
    member text,
    points integer CHECK (points > 0),
    committed integer,
    expiry_lots text NOT NULL,
    order_sha256 blob,
    handed_over_at text NOT NULL,
    batch integer REFERENCES batch,
    outcome text CHECK (outcome IN ('DONE', 'DECLINED', 'NEVER')),
    points_moved integer,
    reason text,
    reference text,
    decided_at text,
    evidence blob,
    key_id text,
    signature blob,
    result_file text REFERENCES result_file,
    UNIQUE (instruction_id, kind),
    CHECK (inquiry = (points IS NULL)),
    CHECK ((outcome IS NULL) = (result_file IS NULL)),
    CHECK ((evidence IS NULL) = (signature IS NULL) AND (evidence IS NULL) = (key_id IS NULL))
) STRICT;

CREATE INDEX instruction_of_batch ON instruction (batch, seq);
CREATE INDEX instruction_of_result_file ON instruction (result_file);
