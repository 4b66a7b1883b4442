-- note_limit: it is another one now.
UPDATE RelayLimit SET Connections = ?2, ChangedAt = ?3, InstanceId = ?4, ThrottledBy = ?5
WHERE Relay = ?1 AND Connections = ?6
