-- SqlServerStore::relays
SELECT Relay, Condition, Since, RetryAt, Reply, Cause, Advice, Instances, SlowedBy, SignIn, SignInRetryAt, SendPorts
FROM sendport.Relay
ORDER BY Relay;
