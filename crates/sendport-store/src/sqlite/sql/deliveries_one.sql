-- deliveries: one alert's lines of the view.
SELECT AlertId, Ordinal, Kind, Address, Status, StatusAt, AttemptCount, NextAttemptAt, Relay, Command, ReplyCode,
       EnhancedStatusCode, ReplyText, Fault, Cause, Advice, Remark, MessageId, Protection, SignedBy, EncryptedTo
FROM Delivery
WHERE AlertId = ?1
ORDER BY Ordinal
LIMIT ?2
