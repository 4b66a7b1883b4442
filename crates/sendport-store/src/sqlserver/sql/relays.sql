-- SqlServerStore::relays
SELECT Relay, Condition, Since, RetryAt, Reply, Cause, Advice, InstanceCount, ThrottleReason, Authentication, AuthenticationRetryAt, SendPorts
FROM sendport.Relay
ORDER BY Relay;
