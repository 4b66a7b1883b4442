-- insert_received: how the message came in.
INSERT INTO ReceivedMessage (AlertId, Intake, ClientAddress, HeloName, UserName, ReversePath, MessageId, SizeBytes,
                             BodyType, SmtpUtf8, EnvelopeId, DsnReturn, RecipientDsn, FromAllowed)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
