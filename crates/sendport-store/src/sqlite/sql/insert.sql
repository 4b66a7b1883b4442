-- insert: as an application would, with the time by the store's clock.
INSERT INTO Alert (ToRecipients, CcRecipients, BccRecipients, Subject, Body, BodyFormat, Template, Payload, Language,
                   Headers, Reference, SendPort, Priority, NotBefore, ExpiresAt, CreatedAt)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
