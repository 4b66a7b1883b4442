-- relays: the view Relay.
SELECT Relay, Condition, Since, RetryAt, Reply, Cause, Advice, Instances, ThrottledBy, Authentication, AuthenticationRetryAt, SendPorts
FROM Relay
ORDER BY Relay
