-- What a client keeps so that a crash costs nothing: orders before they are sent, their answers, a place in the stream.
CREATE TABLE IF NOT EXISTS owner (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    partner_id TEXT NOT NULL,
    audience TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS sent_order (
    key TEXT PRIMARY KEY,
    order_id BLOB NOT NULL UNIQUE,   -- the transfer's, or the reversal's
    asked TEXT NOT NULL,       -- digest of what was asked for
    envelope TEXT NOT NULL,    -- the signed order, to transfer or to reverse, DSSE's JSON form
    made_at TEXT NOT NULL,
    receipt TEXT,              -- the newest proof that answers it, DSSE's JSON form
    stream_seq INTEGER,        -- where that stands in the stream
    refusal TEXT,              -- why it was refused, JSON
    final INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE INDEX IF NOT EXISTS sent_order_open ON sent_order (made_at) WHERE NOT final;
CREATE INDEX IF NOT EXISTS sent_order_stream ON sent_order (stream_seq) WHERE stream_seq IS NOT NULL;

CREATE TABLE IF NOT EXISTS bookmark (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    stream_seq INTEGER NOT NULL,
    sha256 BLOB NOT NULL
);
