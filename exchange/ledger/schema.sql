-- The whole schema of the newest revision, run by the owner in one transaction. `migrations/` leads here from older ones,
-- and a test holds that a migrated database equals one made from this file.
--
-- Value is written by one writer at a time (whoever holds the head row's lock) and only ever inserted, but for the few
-- rows that are running totals. The service role can update those columns and nothing else.

CREATE TABLE deployment (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    schema_revision integer NOT NULL,
    -- Exchange and environment for which all statements in this database are meant; set at the first start, never changed.
    audience text,
    -- What the deployment is for; set with the audience.
    environment text CHECK (environment IN ('development', 'sandbox', 'production'))
);

-- Units and accounts ---------------------------------------------------------------------------------------------

CREATE TABLE unit (
    unit_number integer PRIMARY KEY CHECK (unit_number > 0),
    -- PTS:<program_id>, or an ISO 4217 code.
    name text NOT NULL UNIQUE,
    scale smallint NOT NULL CHECK (scale BETWEEN 0 AND 6)
);

CREATE TABLE account (
    account_number bigint PRIMARY KEY,
    unit_number integer NOT NULL GENERATED ALWAYS AS ((account_number >> 20)::integer) STORED REFERENCES unit,
    name text NOT NULL,
    UNIQUE (unit_number, name)
);

CREATE TABLE balance (
    account_number bigint PRIMARY KEY REFERENCES account,
    debits_pending bigint NOT NULL DEFAULT 0 CHECK (debits_pending >= 0),
    debits_posted bigint NOT NULL DEFAULT 0 CHECK (debits_posted >= 0),
    credits_pending bigint NOT NULL DEFAULT 0 CHECK (credits_pending >= 0),
    credits_posted bigint NOT NULL DEFAULT 0 CHECK (credits_posted >= 0),
    version bigint NOT NULL DEFAULT 0,
    -- How low it may be debited: for a position less its cap.
    floor bigint,
    ceiling bigint,
    -- How low it may stand: the floor, or what it was at when that was set above it.
    lowest bigint,
    -- Of a position whose credits count only when their window is settled: those that wait. NULL where credits count at once.
    credits_held bigint CHECK (credits_held >= 0),
    -- The last line behind the code that should have refused.
    CONSTRAINT balance_floor CHECK (credits_posted - coalesce(credits_held, 0) - debits_posted - debits_pending >= lowest),
    CONSTRAINT balance_ceiling CHECK (credits_posted - debits_posted + credits_pending <= ceiling)
) WITH (fillfactor = 50);

-- Partners, keys, terms ------------------------------------------------------------------------------------------

CREATE TABLE partner (
    partner_number integer PRIMARY KEY CHECK (partner_number > 0),
    partner_id text NOT NULL UNIQUE,
    legal_name text NOT NULL,
    currency text NOT NULL REFERENCES unit (name),
    -- At registration; as it stands it is in the partner's limits, and in its position's floor.
    net_debit_cap bigint NOT NULL CHECK (net_debit_cap >= 0),
    registered_index bigint NOT NULL
);

-- The steps of each partner's life; the newest says how it stands.
CREATE TABLE partner_state (
    partner_number integer NOT NULL REFERENCES partner,
    log_index bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('SANDBOX', 'LIVE', 'SUSPENDED', 'EXITED')),
    PRIMARY KEY (partner_number, log_index)
);

CREATE TABLE program (
    program_id text PRIMARY KEY,
    partner_number integer NOT NULL REFERENCES partner,
    place smallint NOT NULL,
    unit_number integer NOT NULL UNIQUE REFERENCES unit,
    -- Whether orders that touch it must name a link.
    link_required boolean NOT NULL DEFAULT false
);

-- Switches, limits and routes as they stand, each as its leaf states it: what was set before is in the log.
CREATE TABLE restraint (
    kind text NOT NULL CHECK (kind IN ('switches', 'limits', 'routes')),
    -- partner/<id>, corridor/<source program>/<target program> or program/<id>.
    subject text NOT NULL,
    body bytea NOT NULL,
    log_index bigint NOT NULL,
    PRIMARY KEY (kind, subject)
);

CREATE TABLE tax (
    tax_code text PRIMARY KEY,
    tax_number integer NOT NULL UNIQUE CHECK (tax_number BETWEEN 0 AND 3839)
);

-- What a tax is from an instant on, until its next rate.
CREATE TABLE tax_rate (
    tax_code text NOT NULL REFERENCES tax,
    effective_from timestamptz NOT NULL,
    basis_points integer NOT NULL CHECK (basis_points BETWEEN 0 AND 10000),
    -- None of the rates that every exchange begins with is in the log.
    log_index bigint,
    PRIMARY KEY (tax_code, effective_from)
);

INSERT INTO tax VALUES ('none', 0), ('vat6', 1), ('vat9', 2), ('vat13', 3), ('vat20', 4);
INSERT INTO tax_rate (tax_code, effective_from, basis_points)
VALUES ('none', '1970-01-01 00:00:00+00', 0), ('vat6', '1970-01-01 00:00:00+00', 600), ('vat9', '1970-01-01 00:00:00+00', 900),
    ('vat13', '1970-01-01 00:00:00+00', 1300), ('vat20', '1970-01-01 00:00:00+00', 2000);

CREATE TABLE signing_key (
    key_id text PRIMARY KEY,
    holder text NOT NULL,
    purpose text NOT NULL,
    public_key bytea NOT NULL UNIQUE CHECK (length(public_key) = 32),
    valid_from timestamptz NOT NULL,
    valid_until timestamptz NOT NULL,
    registered_index bigint NOT NULL,
    revoked_index bigint,
    CHECK (valid_from < valid_until)
);

-- What was signed is stored as it came; terms are always read from it, never from columns that might be edited. A version
-- is proposed in rounds, of which only the newest can be signed or activated.
CREATE TABLE agreement (
    agreement_id text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    round integer NOT NULL CHECK (round > 0),
    source_partner text NOT NULL REFERENCES partner (partner_id),
    target_partner text NOT NULL REFERENCES partner (partner_id),
    proposer text NOT NULL REFERENCES partner (partner_id),
    -- Whose signatures it needs.
    signatories text[] NOT NULL,
    -- Whether it replaced another brand's open proposal.
    is_counter boolean NOT NULL,
    payload bytea NOT NULL,
    -- None of what was proposed before revision 9 is in the log until it was activated.
    log_index bigint,
    PRIMARY KEY (agreement_id, version, round)
);

CREATE TABLE agreement_signature (
    agreement_id text NOT NULL,
    version integer NOT NULL,
    round integer NOT NULL,
    partner_id text NOT NULL REFERENCES partner (partner_id),
    key_id text NOT NULL REFERENCES signing_key,
    signature bytea NOT NULL CHECK (length(signature) = 64),
    log_index bigint,
    PRIMARY KEY (agreement_id, version, round, partner_id),
    FOREIGN KEY (agreement_id, version, round) REFERENCES agreement
);

CREATE TABLE agreement_withdrawal (
    agreement_id text NOT NULL,
    version integer NOT NULL,
    round integer NOT NULL,
    log_index bigint NOT NULL,
    PRIMARY KEY (agreement_id, version, round),
    FOREIGN KEY (agreement_id, version, round) REFERENCES agreement
);

CREATE TABLE agreement_force (
    agreement_id text NOT NULL,
    version integer NOT NULL,
    round integer NOT NULL,
    -- Source unit << 32 | target unit.
    corridor bigint NOT NULL,
    effective tstzrange NOT NULL CHECK (NOT isempty(effective)),
    log_index bigint NOT NULL,
    PRIMARY KEY (agreement_id, version),
    FOREIGN KEY (agreement_id, version, round) REFERENCES agreement,
    CONSTRAINT one_version_in_force_per_corridor
    EXCLUDE USING gist (int8range(corridor, corridor, '[]') WITH &&, effective WITH &&)
);

-- Ends that notices gave.
CREATE TABLE agreement_termination (
    agreement_id text NOT NULL,
    version integer NOT NULL,
    effective_until timestamptz NOT NULL,
    log_index bigint NOT NULL,
    PRIMARY KEY (agreement_id, version, effective_until),
    FOREIGN KEY (agreement_id, version) REFERENCES agreement_force
);

-- Links and members ----------------------------------------------------------------------------------------------

-- Two accounts of one member. What was signed and decided is in the log; this is where it stands.
CREATE TABLE link (
    link_id uuid PRIMARY KEY,
    -- Of the brand that started it, and of the one that is to confirm it.
    source_program text NOT NULL REFERENCES program,
    target_program text NOT NULL REFERENCES program,
    state text NOT NULL CHECK (state IN ('PENDING', 'ACTIVE', 'REVOKED')),
    frozen boolean NOT NULL,
    -- Of the entry that brought it to its state.
    log_index bigint NOT NULL,
    started_at timestamptz NOT NULL,
    confirmed_at timestamptz,
    method text,
    consent_version text,
    CHECK (source_program <> target_program),
    CHECK (state <> 'ACTIVE' OR confirmed_at IS NOT NULL)
);

CREATE INDEX frozen_link ON link (link_id) WHERE frozen;

-- The references of a link, each with the salt of its commitment. Rows are deleted when a person is to be forgotten.
CREATE TABLE link_member (
    link_id uuid NOT NULL REFERENCES link,
    partner_number integer NOT NULL REFERENCES partner,
    program_id text NOT NULL REFERENCES program,
    member text NOT NULL,
    salt bytea NOT NULL CHECK (length(salt) = 32),
    PRIMARY KEY (link_id, partner_number)
);

CREATE INDEX link_member_by_reference ON link_member (program_id, member);
CREATE INDEX link_member_by_partner ON link_member (partner_number, link_id);

-- Look-ups of members in a UTC day, so that nobody tries references out. May be emptied at any time.
CREATE TABLE look_up_tally (
    partner_number integer PRIMARY KEY REFERENCES partner,
    day date NOT NULL,
    asked integer NOT NULL CHECK (asked > 0)
);

-- Running totals of the promotions of every version that was put in force: what is on hold counts, and the budget is the
-- last line behind the code that should have refused.
CREATE TABLE promotion (
    agreement_id text NOT NULL,
    version integer NOT NULL,
    promotion_id text NOT NULL,
    budget_points bigint NOT NULL CHECK (budget_points > 0),
    granted_points bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (agreement_id, version, promotion_id),
    FOREIGN KEY (agreement_id, version) REFERENCES agreement_force,
    CONSTRAINT promotion_within_budget CHECK (granted_points BETWEEN 0 AND budget_points)
) WITH (fillfactor = 50);

-- Operators and their actions ------------------------------------------------------------------------------------

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
    CHECK ((refused_reason IS NULL) = (refused_text IS NULL)),
    -- What machines read of a refusal: an object of texts, in JSON; NULL in outcomes that are older than the column.
    refused_metadata text
);

-- The requests that actions name by digest. Apart from them, so that it can be dropped and the trail stands.
CREATE TABLE action_request (
    action_id uuid PRIMARY KEY REFERENCES operator_action,
    request bytea NOT NULL
);

-- Settlement windows ---------------------------------------------------------------------------------------------

CREATE TABLE settlement_window (
    window_number integer PRIMARY KEY CHECK (window_number > 0),
    window_id text NOT NULL UNIQUE,
    currency text NOT NULL REFERENCES unit (name),
    business_date date NOT NULL,
    state text NOT NULL CHECK (state IN ('OPEN', 'CLOSED', 'PENDING_SETTLEMENT', 'SETTLED', 'ABORTED')),
    -- The half-open range of log indexes [first_index, end_index), and the log's roots at those sizes.
    first_index bigint NOT NULL,
    first_root bytea NOT NULL,
    end_index bigint,
    end_root bytea,
    UNIQUE (currency, business_date),
    CHECK ((state = 'OPEN') = (end_index IS NULL)),
    CHECK (end_index > first_index)
);

CREATE UNIQUE INDEX one_open_window_per_currency ON settlement_window (currency) WHERE state = 'OPEN';

-- Signed from the party's view: positive is owed to it. Party and counterparty 0 is the operator.
CREATE TABLE window_sum (
    window_number integer NOT NULL REFERENCES settlement_window,
    party integer NOT NULL,
    counterparty integer NOT NULL,
    code smallint NOT NULL,
    tax_number integer NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (window_number, party, counterparty, code, tax_number),
    CHECK (party <> counterparty)
) WITH (fillfactor = 50);

CREATE TABLE window_points (
    window_number integer NOT NULL REFERENCES settlement_window,
    unit_number integer NOT NULL REFERENCES unit,
    code smallint NOT NULL,
    points bigint NOT NULL CHECK (points >= 0),
    PRIMARY KEY (window_number, unit_number, code)
) WITH (fillfactor = 50);

-- What each window credits to each partner, entry by entry, less what was paid of it. Where a partner's credits wait until they
-- are settled, `credits_held` of its position is the sum over its windows that are not, none of them below 0.
CREATE TABLE window_credit (
    window_number integer NOT NULL REFERENCES settlement_window,
    partner_number integer NOT NULL REFERENCES partner,
    amount bigint NOT NULL,
    PRIMARY KEY (window_number, partner_number)
) WITH (fillfactor = 50);

-- The log, the journal and the partners' streams -----------------------------------------------------------------

-- Its lock makes all processes on this database take turns.
CREATE TABLE head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    next_index bigint NOT NULL,
    -- The log's size, and the roots of the perfect subtrees that make it up: see exchange/log/merkle.py.
    frontier bytea NOT NULL,
    -- Time of the newest leaf; it never decreases.
    recorded_at timestamptz NOT NULL,
    -- Counts the changes of partners, keys and terms, so that a process knows when its snapshot is stale.
    terms_revision bigint NOT NULL,
    -- Counts the quotes that were made or have lapsed, which make no leaf.
    quote_changes bigint NOT NULL DEFAULT 0
);

INSERT INTO head VALUES (true, 0, decode('0000000000000000', 'hex'), '1970-01-01 00:00:00+00', 0);

CREATE TABLE record (
    log_index bigint PRIMARY KEY,
    -- 1 transfer, 2 refusal, 3 other entry, 4 hold of a transfer, 5 reservation of one, 6 reversal, 7 refusal of one, 8 request
    -- for one: the leaf's type byte.
    kind smallint NOT NULL CHECK (kind IN (1, 2, 3, 4, 5, 6, 7, 8)),
    -- The order's id: of a reversal its own.
    transfer_id uuid,
    -- The idempotency key of an entry that is not a transfer.
    entry_key text,
    recorded_at timestamptz NOT NULL,
    salt bytea NOT NULL CHECK (length(salt) = 32),
    record bytea NOT NULL,
    leaf_hash bytea NOT NULL CHECK (length(leaf_hash) = 32),
    CHECK ((transfer_id IS NULL) <> (entry_key IS NULL))
);

-- A transfer has one outcome, and before it one hold and one reservation at most.
CREATE UNIQUE INDEX record_by_transfer ON record (transfer_id, (greatest(kind, 3))) WHERE transfer_id IS NOT NULL;
CREATE UNIQUE INDEX record_by_entry_key ON record (entry_key) WHERE entry_key IS NOT NULL;

CREATE TABLE posting (
    log_index bigint NOT NULL,
    place smallint NOT NULL,
    code smallint NOT NULL CHECK (code BETWEEN 1 AND 26),
    -- 1 posted, 2 pending, 3 confirms, 4 voids.
    phase smallint NOT NULL CHECK (phase BETWEEN 1 AND 4),
    debit bigint NOT NULL,
    credit bigint NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    window_number integer,
    resolves_index bigint,
    resolves_place smallint,
    PRIMARY KEY (log_index, place),
    CONSTRAINT posting_has_two_accounts CHECK (debit <> credit),
    CONSTRAINT posting_has_one_unit CHECK (debit >> 20 = credit >> 20),
    CHECK ((phase >= 3) = (resolves_index IS NOT NULL)),
    CHECK ((resolves_index IS NULL) = (resolves_place IS NULL))
);

-- A hold is confirmed or voided once.
CREATE UNIQUE INDEX posting_resolves_once ON posting (resolves_index, resolves_place) WHERE resolves_index IS NOT NULL;

-- What was recorded of money and waits for the bank: few among all postings.
CREATE INDEX posting_waits_for_the_bank ON posting (log_index, place) WHERE phase = 2 AND code BETWEEN 18 AND 22;

-- What waits for the bank: few of the journal's rows, looked for at every file.
CREATE INDEX posting_awaiting_bank ON posting (log_index) WHERE phase = 2 AND code BETWEEN 18 AND 22;

-- What settlement's entries are about, so that they are found again: the state of a settlement is these entries, folded.
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

CREATE TABLE stream_head (
    partner_number integer PRIMARY KEY REFERENCES partner,
    last_seq bigint NOT NULL DEFAULT 0,
    last_sha256 bytea NOT NULL DEFAULT decode(repeat('00', 32), 'hex')
) WITH (fillfactor = 50);

CREATE TABLE stream_entry (
    partner_number integer NOT NULL,
    stream_seq bigint NOT NULL,
    log_index bigint NOT NULL,
    -- 1 transfer-receipt, 2 credit-notice, 3 funding-notice, 4 reversal-notice.
    payload_kind smallint NOT NULL CHECK (payload_kind IN (1, 2, 3, 4)),
    -- The bytes that are signed, with the signing key's name inside.
    payload bytea NOT NULL,
    PRIMARY KEY (partner_number, stream_seq)
);

CREATE INDEX stream_entry_by_log_index ON stream_entry (log_index);

-- Refusals recorded in a minute, so that nobody fills the store with them.
CREATE TABLE refusal_tally (
    partner_number integer PRIMARY KEY REFERENCES partner,
    -- Minutes since 1970.
    minute bigint NOT NULL,
    refused integer NOT NULL CHECK (refused > 0)
) WITH (fillfactor = 50);

-- What was done in a day of UTC, for the limits on it: each subject's newest day. May be emptied at any time, and then the day
-- begins anew. A member's subject is a keyed digest, never a reference.
CREATE TABLE day_tally (
    subject text PRIMARY KEY,
    -- Days since 1970.
    day integer NOT NULL,
    transfers bigint NOT NULL CHECK (transfers >= 0),
    amount bigint NOT NULL CHECK (amount >= 0)
) WITH (fillfactor = 50);

-- The key of those digests. Dropped with them, it leaves nothing that could be told from a reference.
CREATE TABLE member_secret (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    secret bytea NOT NULL CHECK (length(secret) = 32)
);

INSERT INTO member_secret VALUES (true, uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

-- Transfers that were held for review, and what became of each.
CREATE TABLE review (
    transfer_id uuid PRIMARY KEY,
    partner_number integer NOT NULL REFERENCES partner,
    log_index bigint NOT NULL UNIQUE,
    -- What its record does not tell and its end needs, as JSON: its segment, its promotions, and of the day's limits what a void
    -- gives back, none of a member's.
    facts text NOT NULL,
    verdict text CHECK (verdict IN ('RELEASED', 'REFUSED', 'CANCELLED')),
    decided_index bigint UNIQUE,
    CHECK ((verdict IS NULL) = (decided_index IS NULL)),
    CHECK (decided_index > log_index)
);

CREATE INDEX review_waiting ON review (log_index) WHERE decided_index IS NULL;

-- Transfers that were reserved until their target answers, and reversals that it was asked for; and what became of each.
CREATE TABLE reservation (
    transfer_id uuid PRIMARY KEY,
    partner_number integer NOT NULL REFERENCES partner,
    log_index bigint NOT NULL UNIQUE,
    -- Of the entry with the pending postings: its own, or that of the review before it.
    hold_index bigint NOT NULL UNIQUE,
    -- As of a review.
    facts text NOT NULL,
    verdict text CHECK (verdict IN ('CREDITED', 'DECLINED', 'LAPSED', 'CANCELLED', 'TAKEN_BACK')),
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
    -- Of the answer that counts: the first one by whoever's word does, so that it is empty again where that is found wrong.
    answer_sha256 bytea,
    PRIMARY KEY (instruction_id, kind),
    CONSTRAINT delivery_answered CHECK (state <> 'ANSWERED' OR answer_sha256 IS NOT NULL)
) WITH (fillfactor = 70);

CREATE INDEX delivery_due ON delivery (program_id, next_at) WHERE state <> 'CONCLUDED';
CREATE INDEX delivery_of_reversal ON delivery (transfer_id) WHERE kind = 'REVERSE' AND state <> 'CONCLUDED';
CREATE INDEX delivery_of_member ON delivery (program_id, member_key, log_index) WHERE state <> 'CONCLUDED';

-- What programs answered, as it came: one of them counts, others are kept beside it.
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
    -- Of the same bytes by one key after another each signature is kept: it may be the later one that is in force.
    PRIMARY KEY (instruction_id, kind, sha256, key_id),
    FOREIGN KEY (instruction_id, kind) REFERENCES delivery
);

-- Codes and certificates that were given in place of points, sealed for the source brand. Apart from all else, so that they
-- can be dropped.
CREATE TABLE fulfilment (
    transfer_id uuid PRIMARY KEY,
    sealed bytea NOT NULL CHECK (length(sealed) BETWEEN 1 AND 2048)
);

-- How many of a transfer's target points reversals have taken back in all. Kept as long as the transfer, so that nobody needs
-- to look for them; the check is the last line behind the code that should have refused.
CREATE TABLE reversed_transfer (
    transfer_id uuid PRIMARY KEY,
    reversed_points bigint NOT NULL,
    credited_points bigint NOT NULL,
    CONSTRAINT reversed_within_credit CHECK (reversed_points BETWEEN 1 AND credited_points)
) WITH (fillfactor = 50);

-- What came in. With `link_member` the only store of member references, so that it can be dropped by the month and the
-- books stand. An order that is to be forgotten before that has an empty payload, and its digest still.
CREATE TABLE request (
    transfer_id uuid PRIMARY KEY,
    partner_number integer NOT NULL,
    payload_sha256 bytea NOT NULL CHECK (length(payload_sha256) = 32),
    log_index bigint NOT NULL,
    payload bytea NOT NULL,
    key_id text NOT NULL,
    signature bytea NOT NULL CHECK (length(signature) = 64),
    -- Of a refused order: the words of the first answer, so that a repeat gets them again.
    refused_field text,
    refused_text text,
    -- The link that the order names in place of members.
    link_id uuid,
    -- Whether it is a reversal order, which names no member; the id is then the reversal's.
    is_reversal boolean NOT NULL DEFAULT false
) PARTITION BY RANGE (transfer_id);

-- Offers to convert one amount, and the transfers that were committed at them.
-- Nothing rests on a row once its offer has expired: rows may be deleted then.
CREATE TABLE quote (
    quote_id uuid PRIMARY KEY,
    partner_number integer NOT NULL REFERENCES partner,
    -- Of what was asked: a repeated request gets the same offer.
    request_sha256 bytea NOT NULL CHECK (length(request_sha256) = 32),
    agreement_id text NOT NULL,
    version integer NOT NULL,
    -- The bytes that are signed, with the signing key's name inside.
    payload bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    used_by uuid UNIQUE,
    -- Whether its bonus points are held in the promotions' budgets.
    reserves boolean NOT NULL,
    CHECK (used_by IS NULL OR NOT reserves)
);

CREATE INDEX quote_by_expiry ON quote (expires_at);
CREATE INDEX quote_that_reserves ON quote (agreement_id, version, expires_at) WHERE reserves;

-- Statements' line files and payment plans: written before the entries that name them, and the same at every repeat.

CREATE TABLE line_file (
    window_number integer NOT NULL REFERENCES settlement_window,
    partner_number integer NOT NULL REFERENCES partner,
    sha256 bytea NOT NULL CHECK (length(sha256) = 32),
    PRIMARY KEY (window_number, partner_number)
);

-- A line file's bytes, in parts from 0 on: a day may have more of them than one value holds.
CREATE TABLE line_file_part (
    window_number integer NOT NULL REFERENCES settlement_window,
    partner_number integer NOT NULL REFERENCES partner,
    part integer NOT NULL CHECK (part >= 0),
    content bytea NOT NULL,
    PRIMARY KEY (window_number, partner_number, part)
);

CREATE TABLE leg (
    window_number integer NOT NULL REFERENCES settlement_window,
    -- 0: the operator's own.
    partner_number integer NOT NULL CHECK (partner_number >= 0),
    -- ISO 11649, the same for ever.
    reference text NOT NULL UNIQUE,
    -- Units of the currency's scale; positive is paid to the partner.
    amount bigint NOT NULL CHECK (amount <> 0),
    -- Of the statement that asks for it: a later version asks for what it adds to the payments before.
    version smallint NOT NULL DEFAULT 1 CHECK (version > 0),
    PRIMARY KEY (window_number, partner_number, version)
);

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

-- Append only ----------------------------------------------------------------------------------------------------

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', tg_table_name, tg_op USING ERRCODE = 'insufficient_privilege';
END $$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['record', 'posting', 'entry_fact', 'stream_entry', 'line_file', 'line_file_part', 'leg', 'agreement', 'agreement_signature', 'agreement_withdrawal',
        'agreement_termination', 'tax', 'tax_rate', 'partner_state', 'operator_roles', 'operator_action', 'action_approval', 'action_outcome', 'delivery_answer',
        'report_file', 'report_part', 'recon_mapping', 'recon_run', 'recon_found', 'recon_event'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON %I FOR EACH ROW EXECUTE FUNCTION refuse_change()', name);
        EXECUTE format('CREATE TRIGGER never_emptied BEFORE TRUNCATE ON %I EXECUTE FUNCTION refuse_change()', name);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER append_only', name);
        EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER never_emptied', name);
    END LOOP;
END $$;

-- Makes the month's partition of `request` and the next, for ids of version 7: their first 48 bits are milliseconds since
-- 1970. Partitions of one month cannot be made by the service itself, so this runs as the owner. Returns the first
-- moment whose ids are stored.
CREATE FUNCTION ensure_request_partitions(now timestamptz) RETURNS timestamptz
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    month timestamptz := date_trunc('month', now) - interval '1 month';
    oldest text;
BEGIN
    PERFORM pg_advisory_xact_lock(7035);
    SELECT min(relname) INTO oldest FROM pg_class WHERE relname ~ '^request_\d{4}_\d{2}$' AND relkind = 'r';
    -- Months in which no server ran are made too: the first moment that is returned promises all ids from there on.
    month := least(month, to_timestamp(substr(oldest, 9), 'YYYY_MM'));
    WHILE month <= now + interval '1 month' LOOP
        IF to_regclass(format('request_%s', to_char(month, 'YYYY_MM'))) IS NULL THEN
            EXECUTE format('CREATE TABLE request_%s PARTITION OF request FOR VALUES FROM (%L) TO (%L)', to_char(month, 'YYYY_MM'),
                first_uuid_of(month), first_uuid_of(month + interval '1 month'));
        END IF;
        month := month + interval '1 month';
    END LOOP;
    SELECT min(relname) INTO oldest FROM pg_class WHERE relname ~ '^request_\d{4}_\d{2}$' AND relkind = 'r';
    RETURN to_timestamp(substr(oldest, 9), 'YYYY_MM');
END $$;

CREATE FUNCTION first_uuid_of(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- Empties the orders of members who are to be forgotten: payload and signature, by which a reference could be guessed. The
-- digest stays, so that a repeat is answered as before. The service may do this to an order and nothing else.
CREATE FUNCTION empty_requests(ids uuid[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE request SET payload = '', signature = decode(repeat('00', 64), 'hex') WHERE transfer_id = ANY (ids)
$$;

-- Read views -----------------------------------------------------------------------------------------------------

-- What each party's window came to, payments and collateral left out.
CREATE VIEW window_net AS
SELECT window_number, party, sum(amount)::bigint AS net
FROM window_sum WHERE code NOT IN (18, 19, 20, 21, 22) GROUP BY window_number, party;

-- Each leg with what became of it: recorded, then confirmed by the bank, paid from suspense or by a draw on collateral;
-- or cancelled.
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

-- Grants ---------------------------------------------------------------------------------------------------------

GRANT USAGE ON SCHEMA public TO pointclear_service;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO pointclear_service;
GRANT INSERT ON unit, account, balance, partner, program, restraint, signing_key, agreement, agreement_signature, agreement_withdrawal,
    agreement_force, agreement_termination, tax, tax_rate, promotion, settlement_window, window_sum, window_points, record, posting,
    stream_head, stream_entry, refusal_tally, request, line_file, line_file_part, leg, partner_state, operator_roles, operator_action,
    action_approval, action_outcome, action_request
    TO pointclear_service;
GRANT INSERT ON link, link_member, look_up_tally, day_tally, review, reservation, delivery, delivery_answer, fulfilment,
    reversed_transfer, entry_fact, window_credit TO pointclear_service;
GRANT UPDATE (debits_pending, debits_posted, credits_pending, credits_posted, version, floor, lowest, credits_held) ON balance TO pointclear_service;
GRANT UPDATE (body, log_index) ON restraint TO pointclear_service;
GRANT UPDATE (effective) ON agreement_force TO pointclear_service;
GRANT UPDATE (revoked_index) ON signing_key TO pointclear_service;
GRANT UPDATE (granted_points) ON promotion TO pointclear_service;
GRANT UPDATE (state, end_index, end_root) ON settlement_window TO pointclear_service;
GRANT UPDATE (amount) ON window_sum TO pointclear_service;
GRANT UPDATE (points) ON window_points TO pointclear_service;
GRANT UPDATE (amount) ON window_credit TO pointclear_service;
GRANT UPDATE (last_seq, last_sha256) ON stream_head TO pointclear_service;
GRANT UPDATE (minute, refused) ON refusal_tally TO pointclear_service;
GRANT UPDATE (next_index, frontier, recorded_at, terms_revision, quote_changes) ON head TO pointclear_service;
GRANT UPDATE (audience, environment) ON deployment TO pointclear_service;
GRANT UPDATE (link_required) ON program TO pointclear_service;
GRANT UPDATE (state, frozen, log_index, confirmed_at, method, consent_version) ON link TO pointclear_service;
GRANT UPDATE (day, asked) ON look_up_tally TO pointclear_service;
GRANT UPDATE (day, transfers, amount) ON day_tally TO pointclear_service;
GRANT UPDATE (verdict, decided_index) ON review TO pointclear_service;
GRANT UPDATE (verdict, decided_index) ON reservation TO pointclear_service;
GRANT UPDATE (state, attempts, next_at, leased_until, answer_by, sent_at, fault, answer_sha256) ON delivery TO pointclear_service;
GRANT DELETE ON fulfilment TO pointclear_service;
GRANT UPDATE (reversed_points) ON reversed_transfer TO pointclear_service;
GRANT INSERT, DELETE ON quote TO pointclear_service;
GRANT UPDATE (used_by, reserves) ON quote TO pointclear_service;
GRANT DELETE ON day_tally TO pointclear_service;
GRANT DELETE ON link_member TO pointclear_service;
REVOKE EXECUTE ON FUNCTION empty_requests(uuid[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION empty_requests(uuid[]) TO pointclear_service;
REVOKE EXECUTE ON FUNCTION ensure_request_partitions(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_request_partitions(timestamptz) TO pointclear_service;

GRANT INSERT ON report_file, report_part TO pointclear_service;
GRANT INSERT ON recon_mapping, recon_chunk, recon_run, recon_break, recon_found, recon_event TO pointclear_service;
GRANT UPDATE (category, state, owner, newest_run, closed_at, log_index, window_number, body) ON recon_break TO pointclear_service;
GRANT DELETE ON recon_chunk TO pointclear_service;

INSERT INTO deployment VALUES (true, 18, NULL, NULL);
