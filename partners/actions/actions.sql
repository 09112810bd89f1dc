-- Actions of operators and what became of them. The sequencer records actions and approvals; whoever carried one out keeps the
-- answer.

-- name: propose!
INSERT INTO operator_action (action_id, maker, method, payload, key_id, signature, two_person, log_index, recorded_at)
VALUES (:action_id::uuid, :maker, :method, :payload, :key_id, :signature, :two_person, :log_index, :recorded_at);

-- name: keep_request!
INSERT INTO action_request (action_id, request) VALUES (:action_id::uuid, :request);

-- name: approve!
INSERT INTO action_approval (action_id, maker, checker, key_id, signature, log_index, recorded_at)
VALUES (:action_id::uuid, :maker, :checker, :key_id, :signature, :log_index, :recorded_at);

-- name: end_action!
-- The first answer stands.
INSERT INTO action_outcome (action_id, ended_at, response, refused_reason, refused_field, refused_text, refused_metadata)
VALUES (:action_id::uuid, :ended_at, :response, :refused_reason, :refused_field, :refused_text, :refused_metadata)
ON CONFLICT DO NOTHING;

-- name: actions(action_id, after_log_index, waiting_only, actions_max)
-- One action, or the next ones in the order of the log; or of these only those that nobody has approved.
SELECT a.action_id::text, a.payload, a.key_id, a.signature, a.two_person, a.log_index, a.recorded_at,
    p.checker, p.key_id, p.signature, p.log_index, p.recorded_at,
    o.ended_at, o.response, o.refused_reason, o.refused_field, o.refused_text, o.refused_metadata, r.request
FROM operator_action AS a
LEFT JOIN action_approval AS p USING (action_id)
LEFT JOIN action_outcome AS o USING (action_id)
LEFT JOIN action_request AS r USING (action_id)
WHERE (:action_id::uuid IS NULL OR a.action_id = :action_id::uuid)
    AND a.log_index > :after_log_index
    AND (NOT :waiting_only OR (a.two_person AND p.action_id IS NULL))
ORDER BY a.log_index LIMIT :actions_max;
