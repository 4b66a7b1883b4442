-- purge_bodies: the trigger allows it because BodyPurgedAt is set.
UPDATE Alert SET Body = NULL, Payload = NULL, Headers = NULL
WHERE AlertId = ?1 AND coalesce(Body, Payload, Headers) IS NOT NULL
