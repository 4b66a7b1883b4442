-- What protected each submitted message, and where a DBA sees it.

-- A certificate is named by its thumbprint, as Certificate.Thumbprint has it: the SHA-1 of its DER in upper-case hexadecimal.
-- EncryptedTo names all who can open the envelope, in its order, a blank between them.
ALTER TABLE Attempt ADD COLUMN SignedBy TEXT;
ALTER TABLE Attempt ADD COLUMN SignatureAlgorithm TEXT;
ALTER TABLE Attempt ADD COLUMN EncryptedTo TEXT;
ALTER TABLE Attempt ADD COLUMN EncryptionAlgorithm TEXT;
ALTER TABLE Attempt ADD COLUMN HeaderProtection TEXT;

DROP VIEW Delivery;

-- One line a recipient: status, what the relay said, why, and what to do; and how the message was
-- protected in the latest attempt in which a relay said something of this recipient.
CREATE VIEW Delivery AS
SELECT r.AlertId, a.PublicId, a.Reference, a.SendPort, r.Ordinal, r.Kind, r.Address, r.DisplayName,
       r.Status, r.StatusAt, r.AttemptCount,
       CASE WHEN r.Status IN ('queued', 'delayed') THEN s.DueAt END AS NextAttemptAt,
       r.Relay, r.Command, r.ReplyCode, r.EnhancedStatusCode, r.ReplyText,
       e.Fault, e.Cause, e.Advice, r.Remark, a.Subject, a.CreatedAt, a.CreatedBy,
       t.MessageId, t.Protection, t.SignedBy, t.SignatureAlgorithm, t.EncryptedTo, t.EncryptionAlgorithm,
       t.HeaderProtection
FROM Recipient r
JOIN Alert a ON a.AlertId = r.AlertId
JOIN AlertState s ON s.AlertId = r.AlertId
LEFT JOIN ReplyExplanation e ON e.ExplanationKey = r.ExplanationKey
LEFT JOIN Attempt t ON t.AttemptId = (SELECT max(x.AttemptId)
                                      FROM Attempt x
                                      -- CROSS keeps the order: the attempts of the alert first.
                                      CROSS JOIN AttemptReply p ON p.AttemptId = x.AttemptId
                                      WHERE x.AlertId = r.AlertId AND p.RecipientOrdinal = r.Ordinal);
