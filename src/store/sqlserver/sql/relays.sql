-- SqlServerStore::relays
SELECT Relay, Condition, Since, RetryAt, Reply, Cause, Advice, Instances, ThrottledBy, Authentication, AuthenticationRetryAt, SendPorts
FROM sendport.Relay
ORDER BY Relay;
