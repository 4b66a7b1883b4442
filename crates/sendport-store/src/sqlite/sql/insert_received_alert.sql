-- insert_received: the alert of a message that a client submitted.
INSERT INTO Alert (PublicId, ToRecipients, CcRecipients, BccRecipients, FromAddress, Subject, SendPort, CreatedAt)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
