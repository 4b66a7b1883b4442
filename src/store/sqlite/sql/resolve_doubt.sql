-- resolve: the attempt that is in doubt.
SELECT AttemptId, Relay, SendPort FROM InDoubt WHERE AlertId = ?1
