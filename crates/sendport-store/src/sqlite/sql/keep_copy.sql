-- keep_copy: one attempt at one stage is kept once.
INSERT INTO AuditCopy (AttemptKey, Stage, AlertId, SendPort, Relay, CreatedAt, MessageId, ReversePath, ForwardPaths,
                       SizeBytes, Content)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, length(?10), ?10)
ON CONFLICT (AttemptKey, Stage) DO NOTHING
