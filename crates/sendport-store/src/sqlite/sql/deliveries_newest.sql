-- deliveries: the view, newest alert first.
SELECT AlertId, Ordinal, Kind, Address, Status, StatusAt, AttemptCount, NextAttemptAt, Relay, Command, ReplyCode,
       EnhancedStatusCode, ReplyText, Fault, Cause, Advice, Remark, MessageId, Protection, SignedBy, EncryptedTo
FROM Delivery
ORDER BY AlertId DESC, Ordinal
LIMIT ?1
