-- SqlServerStore::received
-- @P1 alert.
SELECT m.ReversePath, m.MessageId, m.SizeBytes, m.BodyType, m.SmtpUtf8, m.EnvelopeId, m.DsnReturn, m.RecipientDsn,
       m.FromAllowed, m.Intake
FROM sendport.ReceivedMessage m WITH (INDEX (PK_ReceivedMessage), FORCESEEK)
WHERE m.AlertId = @P1;
