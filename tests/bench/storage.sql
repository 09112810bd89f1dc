-- What the database takes on disk, and what of it was signed by somebody.

-- name: sizes()
-- Bytes of each table with its TOAST, and of its indexes; a partition counts with its parent.
SELECT coalesce(parent.relname, t.relname)::text, sum(pg_table_size(t.oid))::bigint, sum(pg_indexes_size(t.oid))::bigint
FROM pg_class AS t
LEFT JOIN pg_inherits AS i ON i.inhrelid = t.oid
LEFT JOIN pg_class AS parent ON parent.oid = i.inhparent
WHERE t.relnamespace = 'public'::regnamespace AND t.relkind = 'r'
GROUP BY 1;

-- name: contents()^
-- Committed transfers, and the bytes that orders, receipts and notices themselves have.
SELECT (SELECT count(*) FROM record WHERE kind = 1),
    (SELECT coalesce(sum(octet_length(payload) + octet_length(signature)), 0)::bigint FROM request)
    + (SELECT coalesce(sum(octet_length(payload)), 0)::bigint FROM stream_entry);
