-- What the steps after a missing pay-in rest on besides the journal's entries.

-- name: unsettled_currencies()
-- Currencies of which a stated window is not settled.
SELECT DISTINCT currency FROM settlement_window WHERE state = 'PENDING_SETTLEMENT' ORDER BY currency;

-- name: available(account_number)$
-- What an account has that is not on its way out.
SELECT credits_posted - debits_posted - debits_pending FROM balance WHERE account_number = :account_number;

-- name: last_bank_file(currency)$
-- When a bank's file of a currency was booked last.
SELECT max(r.recorded_at) FROM entry_fact AS f JOIN record AS r USING (log_index)
WHERE f.kind = 'bank_file' AND f.currency = :currency;
