-- record: without the lease, a recipient that nobody knows yet only gets its row.
INSERT INTO Recipient (AlertId, Ordinal, Kind, Address, DisplayName, Status, StatusAt, AttemptCount, Relay, Command,
                       ReplyCode, EnhancedStatusCode, ReplyText, ExplanationKey, Remark)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
ON CONFLICT (AlertId, Ordinal) DO NOTHING
