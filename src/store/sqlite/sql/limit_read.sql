-- learned_limits: of every relay.
SELECT Relay, Connections, ChangedAt, SlowedBy FROM RelayLimit
