-- What becomes of an alert whose attempt ended unseen, and where one sees those.
SET QUOTED_IDENTIFIER ON;
SET ANSI_NULLS ON;
GO
-- 'retry': sent again, with the same Message-ID. 'hold': held until an operator resolves it.
ALTER TABLE sendport.SendPort ADD InDoubt varchar(8) COLLATE Latin1_General_BIN2 NOT NULL
    CONSTRAINT DF_SendPort_InDoubt DEFAULT 'retry';
GO
ALTER TABLE sendport.SendPort ADD CONSTRAINT CK_SendPort_InDoubt CHECK (InDoubt IN ('retry', 'hold'));
GO
-- One line for each alert that may have been sent: not final, not leased, and the end of its
-- latest attempt was not seen. Dirty reads: it waits for no transaction, and locks nothing.
CREATE VIEW sendport.InDoubt AS
SELECT a.AlertId, a.PublicId, a.Reference, a.SendPort, a.Subject, a.Status, a.StatusReason,
       t.AttemptId, t.AttemptNumber, t.Relay, t.MessageId, t.StartedAt, t.EndedAt, t.RemoteAddress,
       a.DueAt AS NextAttemptAt, a.CreatedAt, a.CreatedBy
FROM sendport.AlertRow a WITH (READUNCOMMITTED)
JOIN sendport.Attempt t WITH (READUNCOMMITTED) ON t.AlertId = a.AlertId
WHERE a.Status IN (N'queued', N'delayed', N'held') AND a.AttemptCount > 0
  AND t.Outcome = N'unknown'
  AND NOT EXISTS (SELECT 1 FROM sendport.Attempt l WITH (READUNCOMMITTED)
                  WHERE l.AlertId = t.AlertId
                    AND (l.AttemptNumber > t.AttemptNumber
                         OR (l.AttemptNumber = t.AttemptNumber AND l.AttemptId > t.AttemptId)))
  AND (a.CreatedBy = SUSER_SNAME() OR IS_MEMBER(N'sendport_reader') = 1 OR IS_MEMBER(N'sendport_service') = 1
       OR IS_MEMBER(N'db_owner') = 1);
GO
GRANT SELECT ON sendport.InDoubt TO sendport_reader;
GRANT SELECT ON sendport.InDoubt TO sendport_service;
GO
