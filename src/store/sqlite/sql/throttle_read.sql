-- begin_probe, throttled_relays: one relay, or all.
SELECT Relay, WaitSeconds, RetryAt, Reply, ProbedBy FROM RelayThrottle WHERE ?1 IS NULL OR Relay = ?1
