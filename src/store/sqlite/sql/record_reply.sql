-- record: what the relay said to one command.
INSERT INTO AttemptReply (AttemptId, Ordinal, Command, RecipientOrdinal, ReplyCode, EnhancedStatusCode, ReplyText)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
