-- record, expire, fail_unrouted: where one recipient stands; relayed is never overwritten.
INSERT INTO Recipient (AlertId, Ordinal, Kind, Address, DisplayName, Status, StatusAt, AttemptCount, Relay, Command,
                       ReplyCode, EnhancedStatusCode, ReplyText, ExplanationKey, Remark)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
ON CONFLICT (AlertId, Ordinal) DO UPDATE SET
    Status = excluded.Status, StatusAt = excluded.StatusAt, AttemptCount = excluded.AttemptCount,
    Relay = excluded.Relay, Command = excluded.Command, ReplyCode = excluded.ReplyCode,
    EnhancedStatusCode = excluded.EnhancedStatusCode, ReplyText = excluded.ReplyText,
    ExplanationKey = excluded.ExplanationKey, Remark = excluded.Remark
WHERE Recipient.Status <> 'relayed'
