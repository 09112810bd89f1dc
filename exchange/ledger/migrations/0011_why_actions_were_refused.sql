-- Keep what machines read of a refused action, such as the loop of rates for which it was refused.

ALTER TABLE action_outcome ADD COLUMN refused_metadata text;

UPDATE deployment SET schema_revision = 11;
