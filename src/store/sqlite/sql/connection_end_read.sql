-- connection_ends: of every relay, at others, and not long ago.
SELECT Relay, Recipients, EndedAt FROM RelayConnectionEnd WHERE InstanceId <> ?1 AND EndedAt > ?2
