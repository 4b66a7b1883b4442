-- learned_limits: of every relay.
SELECT Relay, Connections, ChangedAt, ThrottledBy FROM RelayLimit
