-- failures: the view FailedDelivery, newest first.
SELECT AlertId, SendPort, Address, Status, StatusAt, Relay, ReplyCode, EnhancedStatusCode, Reason, Cause, Advice
FROM FailedDelivery
ORDER BY StatusAt DESC, AlertId DESC, Ordinal
LIMIT ?1
