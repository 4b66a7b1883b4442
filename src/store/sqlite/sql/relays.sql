-- relays: the view Relay.
SELECT Relay, Condition, Since, RetryAt, Reply, Cause, Advice, Instances, SlowedBy, SignIn, SignInRetryAt, SendPorts
FROM Relay
ORDER BY Relay
