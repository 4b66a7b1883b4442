-- relays: the view Relay.
SELECT Relay, Condition, Since, RetryAt, Reply, Cause, Advice, InstanceCount, ThrottleReason, Authentication, AuthenticationRetryAt, SendPorts
FROM Relay
ORDER BY Relay
