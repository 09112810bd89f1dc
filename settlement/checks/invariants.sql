-- What is always true of the books. Every query gives the exceptions, as (subject, what is found): no row means that it
-- holds.
-- There are no percent signs here, since the driver reads them as its own.
-- In an account number the unit is above bit 20; below it 1 is the bank's settlement account, 2 its collateral account,
-- 4096 + 2p a partner's position and 4097 + 2p its collateral.

-- name: units_sum_to_zero()
-- Every unit's balances sum to 0, posted and pending apart.
SELECT u.name,
    concat('posted ', sum(b.credits_posted - b.debits_posted), ', pending ', sum(b.credits_pending - b.debits_pending))
FROM balance AS b JOIN account AS a USING (account_number) JOIN unit AS u USING (unit_number)
GROUP BY u.name
HAVING sum(b.credits_posted - b.debits_posted) <> 0 OR sum(b.credits_pending - b.debits_pending) <> 0;

-- name: balances_are_their_postings()
-- Replaying the journal gives every balance row exactly.
WITH step AS (
    SELECT debit AS account_number, phase, amount AS debit, 0::bigint AS credit FROM posting
    UNION ALL
    SELECT credit, phase, 0, amount FROM posting
), replayed AS (
    SELECT account_number,
        sum(CASE phase WHEN 2 THEN debit WHEN 1 THEN 0 ELSE -debit END) AS debits_pending,
        sum(CASE WHEN phase IN (1, 3) THEN debit ELSE 0 END) AS debits_posted,
        sum(CASE phase WHEN 2 THEN credit WHEN 1 THEN 0 ELSE -credit END) AS credits_pending,
        sum(CASE WHEN phase IN (1, 3) THEN credit ELSE 0 END) AS credits_posted
    FROM step GROUP BY account_number
)
SELECT coalesce(a.name, account_number::text),
    concat('balance ', b.debits_pending, '/', b.debits_posted, '/', b.credits_pending, '/', b.credits_posted,
        ', replayed ', r.debits_pending, '/', r.debits_posted, '/', r.credits_pending, '/', r.credits_posted,
        ' (debits pending/posted, credits pending/posted)')
FROM balance AS b FULL JOIN replayed AS r USING (account_number) LEFT JOIN account AS a USING (account_number)
WHERE (b.debits_pending, b.debits_posted, b.credits_pending, b.credits_posted) IS DISTINCT FROM (
    coalesce(r.debits_pending, 0), coalesce(r.debits_posted, 0),
    coalesce(r.credits_pending, 0), coalesce(r.credits_posted, 0));

-- name: holds_are_resolved_as_they_were_made()
-- What confirms or voids a pending posting has its accounts, code and amount, and comes later.
SELECT concat('posting ', p.log_index, '/', p.place), concat('resolves ', p.resolves_index, '/', p.resolves_place)
FROM posting AS p
LEFT JOIN posting AS h ON h.log_index = p.resolves_index AND h.place = p.resolves_place
WHERE p.phase IN (3, 4)
    AND (h.phase, h.code, h.debit, h.credit, h.amount, h.log_index < p.log_index)
        IS DISTINCT FROM (2::smallint, p.code, p.debit, p.credit, p.amount, true);

-- name: reservations_hold_until_they_end()
-- What an open reservation holds is pending, all of it; what a concluded one held was confirmed or voided by its end, as the
-- verdict says, and by nothing else.
SELECT concat('reservation ', v.transfer_id),
    concat('posting ', h.log_index, '/', h.place, ' is ', coalesce('resolved by ' || p.log_index || '/' || p.place, 'pending'))
FROM reservation AS v
JOIN posting AS h ON h.log_index = v.hold_index AND h.phase = 2
LEFT JOIN posting AS p ON p.resolves_index = h.log_index AND p.resolves_place = h.place
WHERE (p.log_index, p.phase) IS DISTINCT FROM (
    v.decided_index, CASE WHEN v.verdict = 'CREDITED' THEN 3 WHEN v.verdict IS NOT NULL THEN 4 END::smallint)
UNION ALL
SELECT concat('reservation ', v.transfer_id), concat('entry ', v.hold_index, ' holds nothing')
FROM reservation AS v JOIN record AS b USING (log_index)
WHERE b.kind = 5 AND NOT EXISTS (SELECT FROM posting AS h WHERE h.log_index = v.hold_index AND h.phase = 2);

-- name: reservations_are_as_recorded()
-- A transfer is reserved and a reversal asked for where its record says so, and ended where another one of its does.
SELECT concat('reservation ', coalesce(v.transfer_id, b.transfer_id)),
    concat('reserved at ', v.log_index, ', ended at ', v.decided_index, ' as ', v.verdict, '; the log has ',
        b.log_index, ' and ', e.log_index)
FROM reservation AS v
FULL JOIN (SELECT transfer_id, log_index FROM record WHERE kind IN (5, 8)) AS b USING (transfer_id)
LEFT JOIN record AS e ON e.transfer_id = b.transfer_id AND e.kind IN (1, 2, 6, 7)
WHERE (v.log_index, v.decided_index) IS DISTINCT FROM (b.log_index, e.log_index)
    OR (v.verdict IN ('CREDITED', 'TAKEN_BACK')) IS DISTINCT FROM (e.kind IN (1, 6));

-- name: open_reservations_are_pursued()
-- What has no end yet is still told or asked.
SELECT concat('reservation ', v.transfer_id), concat('its instruction is ', coalesce(d.state, 'missing'))
FROM reservation AS v LEFT JOIN delivery AS d ON d.instruction_id = v.transfer_id
WHERE v.verdict IS NULL AND coalesce(d.state, 'CONCLUDED') = 'CONCLUDED';

-- name: postings_lie_in_their_window()
-- Every posting is counted by a window whose range of the log it lies in, and whose currency it moves if it moves money.
SELECT concat('posting ', p.log_index, '/', p.place), coalesce(w.window_id, 'no window')
FROM posting AS p
LEFT JOIN settlement_window AS w USING (window_number)
LEFT JOIN unit AS u ON u.unit_number = p.debit >> 20
WHERE w.window_number IS NULL OR u.unit_number IS NULL
    OR p.log_index < w.first_index OR p.log_index >= w.end_index
    OR (NOT starts_with(u.name, 'PTS:') AND u.name <> w.currency);

-- name: window_sums_are_their_postings()
-- Replaying a window's postings gives its sums of money.
WITH side AS (
    SELECT window_number, code, phase, amount,
        greatest(((debit & 1048575) - 4096) >> 1, 0) AS payer, greatest(((credit & 1048575) - 4096) >> 1, 0) AS payee,
        greatest(CASE WHEN debit & 1048575 BETWEEN 256 AND 4095 THEN (debit & 1048575) - 256 ELSE 0 END,
            CASE WHEN credit & 1048575 BETWEEN 256 AND 4095 THEN (credit & 1048575) - 256 ELSE 0 END) AS tax_number
    FROM posting WHERE phase IN (1, 3) AND code NOT IN (1, 2, 3, 9, 10, 11)
), step AS (
    SELECT window_number, payer AS party, payee AS counterparty, code, tax_number, -amount AS amount
    FROM side WHERE payer <> payee
    UNION ALL
    SELECT window_number, payee, payer, code, tax_number, amount FROM side WHERE payer <> payee
), replayed AS (
    SELECT window_number, party, counterparty, code, tax_number, sum(amount) AS amount
    FROM step GROUP BY window_number, party, counterparty, code, tax_number
)
SELECT concat('window ', window_number, ', ', party, ' against ', counterparty, ', code ', code, ', tax ', tax_number),
    concat('kept ', s.amount, ', replayed ', r.amount)
FROM window_sum AS s FULL JOIN replayed AS r USING (window_number, party, counterparty, code, tax_number)
WHERE coalesce(s.amount, 0) <> coalesce(r.amount, 0);

-- name: window_points_are_their_postings()
-- Replaying a window's postings gives its points.
WITH replayed AS (
    SELECT window_number, (debit >> 20)::integer AS unit_number, code, sum(amount) AS points
    FROM posting WHERE phase IN (1, 3) AND code IN (1, 2, 3, 9, 10, 11)
    GROUP BY window_number, debit >> 20, code
)
SELECT concat('window ', window_number, ', unit ', unit_number, ', code ', code),
    concat('kept ', k.points, ', replayed ', r.points)
FROM window_points AS k FULL JOIN replayed AS r USING (window_number, unit_number, code)
WHERE coalesce(k.points, 0) <> coalesce(r.points, 0);

-- name: positions_are_nets_and_payments()
-- A partner's position is the sum of its windows' nets and of the payments that the bank, or both partners, confirmed.
WITH counted AS (
    SELECT w.currency, s.party, sum(s.amount) AS amount
    FROM window_sum AS s JOIN settlement_window AS w USING (window_number)
    WHERE s.code NOT IN (21, 22)
    GROUP BY w.currency, s.party
)
SELECT p.partner_id, concat('position ', b.credits_posted - b.debits_posted, ', nets and payments ', coalesce(c.amount, 0))
FROM partner AS p
JOIN unit AS u ON u.name = p.currency
JOIN balance AS b ON b.account_number = (u.unit_number::bigint << 20) + 4096 + 2 * p.partner_number
LEFT JOIN counted AS c ON c.currency = p.currency AND c.party = p.partner_number
WHERE b.credits_posted - b.debits_posted <> coalesce(c.amount, 0);

-- name: nets_sum_to_zero()
-- The nets of a window, the operator's among them, sum to 0.
SELECT w.window_id, sum(n.net)::text
FROM window_net AS n JOIN settlement_window AS w USING (window_number)
GROUP BY w.window_id HAVING sum(n.net) <> 0;

-- name: sums_mirror_each_other()
-- net(a, b, code) = −net(b, a, code).
SELECT
    concat('window ', s.window_number, ', ', s.party, ' against ', s.counterparty, ', code ', s.code, ', tax ', s.tax_number),
    concat(s.amount, ', and the other way ', m.amount)
FROM window_sum AS s
LEFT JOIN window_sum AS m ON m.window_number = s.window_number AND m.party = s.counterparty
    AND m.counterparty = s.party AND m.code = s.code AND m.tax_number = s.tax_number
WHERE s.amount IS DISTINCT FROM -m.amount;

-- name: programs_sum_to_zero()
-- members + issuer + redeemed + granted = 0 for every program.
SELECT g.program_id, sum(b.credits_posted - b.debits_posted)::text
FROM program AS g
JOIN balance AS b ON b.account_number BETWEEN (g.unit_number::bigint << 20) + 1 AND (g.unit_number::bigint << 20) + 4
GROUP BY g.program_id
HAVING sum(b.credits_posted - b.debits_posted) <> 0 OR count(*) <> 4;

-- name: window_credits_are_their_postings()
-- Replaying the journal gives what windows credit to each partner, entry by entry, less the pay-outs that were recorded and not
-- voided, and what partners paid each other. An aborted window's go over to a later one, so all of a partner's windows together are what is compared.
WITH side AS (
    SELECT log_index, credit AS account_number, amount FROM posting
    WHERE phase IN (1, 3) AND code NOT IN (1, 2, 3, 9, 10, 11, 18, 19, 20, 21, 22)
    UNION ALL
    SELECT log_index, debit, -amount FROM posting WHERE phase = 1 AND code NOT IN (1, 2, 3, 9, 10, 11, 18, 19, 20, 21, 22)
), net AS (
    SELECT account_number, sum(amount) AS amount FROM side
    WHERE account_number & 1048575 >= 4096 AND account_number & 1 = 0
    GROUP BY log_index, account_number
), paid AS (
    SELECT p.debit AS account_number, p.amount
    FROM posting AS p JOIN record AS r USING (log_index)
    WHERE p.phase = 2 AND p.code IN (18, 19) AND p.debit & 1048575 >= 4096 AND starts_with(r.entry_key, 'leg/')
        AND NOT EXISTS (
            SELECT FROM posting AS v WHERE v.phase = 4 AND v.resolves_index = p.log_index AND v.resolves_place = p.place)
    UNION ALL
    SELECT p.debit, p.amount FROM posting AS p JOIN record AS r USING (log_index)
    WHERE p.phase = 1 AND p.code = 19 AND starts_with(r.entry_key, 'pair/')
), replayed AS (
    SELECT ((account_number & 1048575)::integer - 4096) / 2 AS partner_number, sum(amount) AS amount
    FROM (SELECT account_number, amount FROM net WHERE amount > 0 UNION ALL SELECT account_number, -amount FROM paid) AS each
    GROUP BY account_number
), kept AS (
    SELECT partner_number, sum(amount) AS amount FROM window_credit GROUP BY partner_number
)
SELECT concat('partner ', partner_number), concat('kept ', k.amount, ', replayed ', r.amount)
FROM kept AS k FULL JOIN replayed AS r USING (partner_number)
WHERE coalesce(k.amount, 0) <> coalesce(r.amount, 0);

-- name: credits_that_wait_are_unsettled()
-- What waits of a partner's credits is what its windows credit to it that are not settled.
SELECT p.partner_id, concat('waiting ', b.credits_held, ', not settled ', coalesce(sum(c.amount), 0))
FROM partner AS p
JOIN unit AS u ON u.name = p.currency
JOIN balance AS b ON b.account_number = (u.unit_number::bigint << 20) + 4096 + 2 * p.partner_number
LEFT JOIN (
    SELECT c.partner_number, c.amount FROM window_credit AS c JOIN settlement_window AS w USING (window_number)
    WHERE w.state <> 'SETTLED' AND c.amount > 0) AS c USING (partner_number)
WHERE b.credits_held IS NOT NULL
GROUP BY p.partner_id, b.credits_held HAVING b.credits_held <> coalesce(sum(c.amount), 0);

-- name: postings_have_their_accounts()
-- Collateral moves between the bank and a partner's collateral, confirmed points between the issuer and where they wait,
-- journals to and from positions: whatever else such a posting moves is an exception.
WITH each AS (
    SELECT log_index, place, code, debit & 1048575 AS d, credit & 1048575 AS c,
        debit & 1048575 >= 4096 AND debit & 1 = 0 AS from_position, credit & 1048575 >= 4096 AND credit & 1 = 0 AS to_position,
        debit & 1048575 >= 4096 AND debit & 1 = 1 AS from_collateral, credit & 1048575 >= 4096 AND credit & 1 = 1 AS to_collateral
    FROM posting WHERE code IN (17, 20, 21, 22, 23, 24, 26)
)
SELECT concat('posting ', log_index, '/', place), concat('code ', code, ' from ', d, ' to ', c)
FROM each
WHERE NOT CASE code
    WHEN 17 THEN (from_position OR d IN (3, 5, 7)) AND (to_position OR c IN (3, 5, 7)) AND (from_position OR to_position)
    WHEN 20 THEN d = 1 AND to_position
    WHEN 21 THEN d = 2 AND to_collateral
    WHEN 22 THEN from_collateral AND c = 2
    WHEN 23 THEN (d, c) IN ((3, 2), (2, 3))
    WHEN 24 THEN (d, c) IN ((2, 4), (4, 2))
    WHEN 26 THEN (from_position AND c = 7) OR (d = 7 AND to_position)
END;

-- name: adjustments_were_ordered()
-- Every journal that finance booked by hand is that of an action which has the signatures that it needs.
SELECT r.entry_key, CASE WHEN a.action_id IS NULL THEN 'no such action' ELSE 'nobody has checked it' END
FROM entry_fact AS f
JOIN record AS r USING (log_index)
LEFT JOIN operator_action AS a ON 'adjustment/' || a.action_id = r.entry_key
    AND a.method = 'pointclear.settlement.v1.SettlementService/BookAdjustment' AND a.log_index < r.log_index
LEFT JOIN action_approval AS c ON c.action_id = a.action_id AND c.log_index < r.log_index
WHERE f.kind = 'adjustment-relates-to' AND (a.action_id IS NULL OR (a.two_person AND c.action_id IS NULL));

-- name: withdrawals_were_asked_for()
-- Every withdrawal that was let go was asked for before, by the same partner.
SELECT f.subject, concat('let go at ', f.log_index, ' for partner ', f.partner_number)
FROM entry_fact AS f
WHERE f.kind = 'withdrawal-approved' AND NOT EXISTS (
    SELECT FROM entry_fact AS a WHERE a.kind = 'withdrawal-requested' AND a.subject = f.subject
        AND a.partner_number = f.partner_number AND a.log_index < f.log_index);

-- name: bank_collateral_is_the_partners()
-- What the bank holds as collateral is the sum of the partners' collateral.
SELECT u.name, sum(b.credits_posted - b.debits_posted)::text
FROM balance AS b JOIN account AS a USING (account_number) JOIN unit AS u USING (unit_number)
WHERE NOT starts_with(u.name, 'PTS:') AND (
    a.account_number & 1048575 = 2 OR (a.account_number & 1048575 >= 4096 AND a.account_number & 1 = 1))
GROUP BY u.name HAVING sum(b.credits_posted - b.debits_posted) <> 0;

-- name: bank_settlement_is_positions_and_hub()
-- What the bank holds for settlement is the sum of the positions and of all other accounts of the operator.
SELECT u.name, sum(b.credits_posted - b.debits_posted)::text
FROM balance AS b JOIN account AS a USING (account_number) JOIN unit AS u USING (unit_number)
WHERE NOT starts_with(u.name, 'PTS:') AND a.account_number & 1048575 <> 2
    AND NOT (a.account_number & 1048575 >= 4096 AND a.account_number & 1 = 1)
GROUP BY u.name HAVING sum(b.credits_posted - b.debits_posted) <> 0;

-- name: records_are_gapless()
-- The log's records run from 0 to the head without a gap.
SELECT 'record',
    concat(count(r.log_index), ' records from ', min(r.log_index), ' to ', max(r.log_index), ', head at ', h.next_index)
FROM head AS h LEFT JOIN record AS r ON true
GROUP BY h.next_index
HAVING count(r.log_index) <> h.next_index OR coalesce(min(r.log_index), 0) <> 0
    OR coalesce(max(r.log_index), -1) <> h.next_index - 1;

-- name: postings_have_their_record()
SELECT concat('posting ', p.log_index, '/', p.place), 'no record'
FROM posting AS p LEFT JOIN record AS r USING (log_index) WHERE r.log_index IS NULL;

-- name: streams_are_gapless()
-- A partner's stream runs from 1 to its head without a gap.
SELECT p.partner_id, concat(count(s.stream_seq), ' entries, last ', max(s.stream_seq), ', the head says ', h.last_seq)
FROM stream_head AS h JOIN partner AS p USING (partner_number) LEFT JOIN stream_entry AS s USING (partner_number)
GROUP BY p.partner_id, h.last_seq
HAVING count(s.stream_seq) <> h.last_seq OR coalesce(max(s.stream_seq), 0) <> h.last_seq;

-- name: bonuses_are_what_promotions_granted()
-- What the promotions of a program granted is what bonuses posted, those on hold counted, and those taken back not.
WITH granted AS (
    SELECT (f.corridor & 4294967295)::integer AS unit_number, sum(p.granted_points) AS points
    FROM promotion AS p JOIN agreement_force AS f USING (agreement_id, version) GROUP BY 1
), posted AS (
    SELECT (debit >> 20)::integer AS unit_number,
        sum(CASE WHEN code = 11 OR phase = 4 THEN -amount WHEN phase = 3 THEN 0 ELSE amount END) AS points
    FROM posting WHERE code IN (3, 11) GROUP BY 1
)
SELECT u.name, concat('granted ', coalesce(g.points, 0), ', posted ', coalesce(p.points, 0))
FROM granted AS g FULL JOIN posted AS p USING (unit_number) JOIN unit AS u USING (unit_number)
WHERE coalesce(g.points, 0) <> coalesce(p.points, 0);

-- name: reversals_are_their_postings()
-- What is counted as taken back of transfers, all together, is what reversals posted, and it lies within each credit.
SELECT 'all transfers', concat('counted ', c.points, ', posted ', p.points)
FROM (SELECT coalesce(sum(reversed_points), 0) AS points FROM reversed_transfer) AS c,
    (SELECT coalesce(sum(amount), 0) AS points FROM posting WHERE code IN (10, 11)) AS p
WHERE c.points <> p.points
UNION ALL
SELECT transfer_id::text, concat('reversed ', reversed_points, ' of ', credited_points)
FROM reversed_transfer WHERE reversed_points NOT BETWEEN 1 AND credited_points;

-- name: payments_are_stated()
-- Legs and line files belong to windows that were closed, and stated windows have a line file for every partner of theirs.
SELECT w.window_id, p.partner_id
FROM settlement_window AS w
JOIN partner AS p ON p.currency = w.currency AND p.registered_index < w.end_index
LEFT JOIN line_file AS f USING (window_number, partner_number)
LEFT JOIN record AS r ON r.entry_key = 'statement/' || w.window_id || '/' || p.partner_id
WHERE w.state IN ('PENDING_SETTLEMENT', 'SETTLED', 'ABORTED') AND (f.sha256 IS NULL OR r.log_index IS NULL);

-- name: invoices_are_gapless()
-- Each series of invoices counts from 1 in the order of the log, and no month, pair and type has two invoices.
SELECT numbered.subject, 'number ' || numbered.number || ' stands where ' || numbered.place || ' should'
FROM (
    SELECT f.subject, split_part(r.entry_key, '/', 4) AS number, row_number() OVER (PARTITION BY f.subject ORDER BY f.log_index) AS place
    FROM entry_fact AS f JOIN record AS r USING (log_index) WHERE f.kind = 'invoice-number'
) AS numbered
WHERE numbered.number <> numbered.place::text
UNION ALL
SELECT f.subject, count(DISTINCT f.log_index) || ' documents are about it'
FROM entry_fact AS f WHERE f.kind = 'invoice' GROUP BY f.currency, f.subject HAVING count(DISTINCT f.log_index) > 1;

-- name: payments_stand_in_one_file()
-- No payment stands in two pay-out files that the bank has not rejected, and none of such a file was taken back.
WITH instructed AS (
    SELECT f.subject AS reference
    FROM entry_fact AS f JOIN record AS r USING (log_index)
    WHERE f.kind = 'payout' AND NOT EXISTS (
        SELECT FROM record AS x
        WHERE x.entry_key IN (r.entry_key || '/rejected', r.entry_key || '/rejected/' || f.subject))
)
SELECT 'payment ' || reference, count(*) || ' pay-out files instruct it'
FROM instructed GROUP BY reference HAVING count(*) > 1
UNION ALL
SELECT DISTINCT 'payment ' || i.reference, 'it was taken back, and a pay-out file instructs it'
FROM instructed AS i JOIN record AS c ON c.entry_key = 'cancelled/' || i.reference;

-- name: keys_are_as_recorded()
-- A key's force begins and ends where the log has its events, whatever its row says.
SELECT k.key_id,
    concat('registered at ', k.registered_index, ', revoked at ', k.revoked_index, ', the log has ', r.log_index, ' and ', e.log_index)
FROM signing_key AS k
LEFT JOIN record AS r ON r.entry_key = 'key/' || k.key_id
LEFT JOIN record AS e ON e.entry_key = 'revoke-key/' || k.key_id
WHERE k.registered_index IS DISTINCT FROM r.log_index OR k.revoked_index IS DISTINCT FROM e.log_index;

-- name: payments_between_partners_are_confirmed()
-- What one partner paid another was confirmed by both, and nothing of a settled window was not.
SELECT r.entry_key, concat(p.amount, ' units without a confirmation')
FROM posting AS p JOIN record AS r USING (log_index)
WHERE p.code = 19 AND p.debit & 1048575 >= 4096 AND p.credit & 1048575 >= 4096 AND 2 <> (
    SELECT count(DISTINCT f.partner_number) FROM entry_fact AS f
    WHERE f.kind = 'pair-confirmed' AND starts_with(r.entry_key, 'pair/') AND f.subject = split_part(r.entry_key, '/', 2)
        AND f.log_index <= p.log_index)
UNION ALL
SELECT w.window_id, f.subject
FROM entry_fact AS f JOIN settlement_window AS w USING (window_number)
WHERE f.kind = 'pair-leg' AND w.state = 'SETTLED' AND NOT EXISTS (
    SELECT FROM entry_fact AS c WHERE c.kind = 'pair-confirmed' AND c.subject = f.subject AND c.partner_number = f.partner_number);

-- name: settled_windows_are_paid()
-- Every leg of a settled window is confirmed by the bank.
SELECT w.window_id, l.reference
FROM leg_state AS l JOIN settlement_window AS w USING (window_number)
WHERE w.state = 'SETTLED' AND l.confirmed_index IS NULL AND l.cancelled_index IS NULL;

-- name: currencies()
-- Each currency with its number among the units.
SELECT name, unit_number FROM unit WHERE NOT starts_with(name, 'PTS:') ORDER BY unit_number;

-- name: stated_positions()
-- Each partner's position, and its nets of windows that are not stated.
SELECT p.partner_number, p.partner_id, p.currency, b.account_number, b.credits_posted - b.debits_posted,
    coalesce((
        SELECT sum(n.net) FROM window_net AS n JOIN settlement_window AS w USING (window_number)
        WHERE n.party = p.partner_number AND w.currency = p.currency AND w.state IN ('OPEN', 'CLOSED')), 0)::bigint
FROM partner AS p
JOIN unit AS u ON u.name = p.currency
JOIN balance AS b ON b.account_number = (u.unit_number::bigint << 20) + 4096 + 2 * p.partner_number
ORDER BY p.partner_number;

-- name: last_stated_window(currency, partner_id)$
-- The newest stated window of which a partner has a statement.
SELECT w.window_id
FROM settlement_window AS w
JOIN record AS r ON r.entry_key = 'statement/' || w.window_id || '/' || :partner_id
WHERE w.currency = :currency AND w.state IN ('PENDING_SETTLEMENT', 'SETTLED', 'ABORTED')
ORDER BY w.window_number DESC LIMIT 1;

-- name: unpaid(partner_number, currency)$
-- A partner's legs of stated windows that the bank has not confirmed; positive is still paid to it.
SELECT coalesce(sum(l.amount), 0)::bigint
FROM leg_state AS l JOIN settlement_window AS w USING (window_number)
WHERE l.partner_number = :partner_number AND w.currency = :currency AND w.state <> 'CLOSED'
    AND l.confirmed_index IS NULL AND l.cancelled_index IS NULL;

-- name: restated_since(partner_number, window_id, position)$
-- What has come of windows before this one, or without a leg, since it was approved: legs that were cancelled less those that
-- later versions added, and payments straight to or from the position. The next statement will have it as restated.
WITH this AS (
    SELECT w.window_number, w.currency, a.log_index AS approved_index
    FROM settlement_window AS w LEFT JOIN record AS a ON a.entry_key = 'approved/' || w.window_id
    WHERE w.window_id = :window_id
)
SELECT (
    coalesce((
        SELECT sum(l.amount) FROM leg_state AS l JOIN settlement_window AS w USING (window_number), this
        WHERE l.partner_number = :partner_number AND w.currency = this.currency AND w.window_number < this.window_number
            AND l.cancelled_index > this.approved_index), 0)
    - coalesce((
        SELECT sum(l.amount) FROM leg_state AS l JOIN settlement_window AS w USING (window_number), entry_fact AS f, this
        WHERE l.partner_number = :partner_number AND w.currency = this.currency AND w.window_number < this.window_number
            AND l.version > 1 AND f.kind = 'statement' AND f.window_number = l.window_number
            AND f.partner_number = l.partner_number AND f.subject = l.version::text AND f.log_index > this.approved_index), 0)
    + coalesce((
        SELECT sum(CASE WHEN p.credit = :position THEN p.amount ELSE -p.amount END) FROM posting AS p, this
        WHERE p.phase = 1 AND p.code IN (18, 19, 20) AND :position IN (p.debit, p.credit)
            AND p.log_index > this.approved_index
            -- A leg that was paid from suspense is confirmed by that, and counts as paid.
            AND NOT EXISTS (SELECT FROM record AS r WHERE r.log_index = p.log_index AND starts_with(r.entry_key, 'allocated/'))), 0)
)::bigint;
