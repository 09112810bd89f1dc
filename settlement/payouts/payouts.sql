-- What pay-out files and payment papers rest on besides the journal's entries.

-- name: recorded_at(log_index)$
SELECT recorded_at FROM record WHERE log_index = :log_index;

-- name: legal_name(partner_number)$
SELECT legal_name FROM partner WHERE partner_number = :partner_number;
