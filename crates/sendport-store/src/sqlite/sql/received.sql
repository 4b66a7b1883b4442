-- received: what came with the message, while its octets are there.
SELECT m.ReversePath, m.MessageId, m.SizeBytes, m.BodyType, m.SmtpUtf8, m.EnvelopeId, m.DsnReturn, m.RecipientDsn,
       m.FromAllowed, m.Intake
FROM ReceivedMessage m
WHERE m.AlertId = ?1
