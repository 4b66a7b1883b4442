-- insert: with the alert, in its transaction.
INSERT INTO Attachment (AlertId, FileName, MediaType, Content, Disposition, ContentId, Description, TransferEncoding)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
