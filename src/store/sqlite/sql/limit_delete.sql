-- note_limit: it is forgotten.
DELETE FROM RelayLimit WHERE Relay = ?1 AND Connections = ?2
