-- The brand's own books: one file. What an instruction came to is written in the transaction that moves the points.

CREATE TABLE IF NOT EXISTS member (
    reference TEXT PRIMARY KEY,
    eligible INTEGER NOT NULL,
    points INTEGER NOT NULL DEFAULT 0 CHECK (points >= 0)
) STRICT;

-- Every instruction that was answered, and every one that was asked for before it came (asked IS NULL: a fence).
CREATE TABLE IF NOT EXISTS answer (
    instruction_id BLOB NOT NULL CHECK (length(instruction_id) = 16),
    kind TEXT NOT NULL CHECK (kind IN ('CREDIT', 'REVERSE')),
    asked BLOB,             -- SHA-256 of the instruction's content
    confirmation BLOB NOT NULL, -- what is signed, each time it is asked for
    fulfilment BLOB NOT NULL DEFAULT x'',
    PRIMARY KEY (instruction_id, kind)
) STRICT;

-- Points that were given, and how many of them were taken back.
CREATE TABLE IF NOT EXISTS credit (
    transfer_id BLOB PRIMARY KEY,
    member TEXT NOT NULL REFERENCES member,
    points INTEGER NOT NULL CHECK (points > 0),
    taken_back INTEGER NOT NULL DEFAULT 0 CHECK (taken_back BETWEEN 0 AND points)
) STRICT;
