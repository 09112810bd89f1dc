-- A brand whose key was exchanged signs the same answer anew, and that signature is kept too.

ALTER TABLE delivery_answer DROP CONSTRAINT delivery_answer_pkey;
ALTER TABLE delivery_answer ADD PRIMARY KEY (instruction_id, kind, sha256, key_id);

UPDATE deployment SET schema_revision = 16;
