-- record: an attempt that was made counts, whoever holds the alert now.
UPDATE AlertState SET AttemptCount = max(AttemptCount, ?2) WHERE AlertId = ?1
