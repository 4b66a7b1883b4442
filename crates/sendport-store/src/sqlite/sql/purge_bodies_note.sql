-- purge_bodies: from here on the alert is not sent again.
UPDATE AlertState SET BodyPurgedAt = coalesce(BodyPurgedAt, ?2), BodyPurged = ?3, RequestId = coalesce(?4, RequestId)
WHERE AlertId = ?1
