-- Which answer of an instruction counts was read from their order: the first one did, also when nobody whose word counts had
-- given it, and then no other could any more. Now the instruction names it.

ALTER TABLE delivery ADD COLUMN answer_sha256 bytea;

UPDATE delivery AS d SET answer_sha256 = first.sha256
FROM (
    SELECT DISTINCT ON (instruction_id, kind) instruction_id, kind, sha256
    FROM delivery_answer ORDER BY instruction_id, kind, answered_at
) AS first
WHERE (d.instruction_id, d.kind) = (first.instruction_id, first.kind) AND d.state IN ('ANSWERED', 'CONCLUDED');

ALTER TABLE delivery ADD CONSTRAINT delivery_answered CHECK (state <> 'ANSWERED' OR answer_sha256 IS NOT NULL);

GRANT UPDATE (answer_sha256) ON delivery TO pointclear_service;

UPDATE deployment SET schema_revision = 17;
