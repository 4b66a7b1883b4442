-- SqlServerStore::reportable
-- @P1 send port, @P2 seconds to look back, @P3 most alerts, @P4 seconds since the message came, @P5 1: also messages whose
-- client gave no NOTIFY; {among} as in reportable_failed. Answers AlertId and how many seconds it is late, of submitted
-- messages that are not final.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @until datetime2(3) = DATEADD(second, -@P4, @now);
DECLARE @since datetime2(3) = DATEADD(second, -@P2, @until);
DECLARE @adopted datetime2(3) = COALESCE((SELECT e.AdoptedAt FROM sendport.Environment e WITH (READUNCOMMITTED) WHERE e.EnvironmentId = 1), CONVERT(datetime2(3), N'2000-01-01'));
SELECT TOP (@P3) a.AlertId, DATEDIFF(second, a.CreatedAt, @until)
FROM sendport.AlertRow a WITH (READUNCOMMITTED, INDEX (IX_AlertRow_Live), FORCESEEK)
JOIN sendport.ReceivedMessage m WITH (READUNCOMMITTED, INDEX (PK_ReceivedMessage), FORCESEEK) ON m.AlertId = a.AlertId
WHERE a.Status IN (N'queued', N'sending', N'delayed') AND a.SendPort = @P1 AND a.BodyPurged = 0
  AND a.CreatedAt >= @since AND a.CreatedAt <= @until AND a.CreatedAt > @adopted
  AND a.Origin <> N'report' AND m.ReversePath <> N'' AND (@P5 = 1 OR CHARINDEX(N'delay', m.RecipientDsn COLLATE Latin1_General_BIN2) > 0)
  AND NOT EXISTS (SELECT 1 FROM sendport.DeliveryReport d WITH (READUNCOMMITTED, INDEX (PK_DeliveryReport), FORCESEEK)
                  WHERE d.AlertId = a.AlertId AND d.Action = N'delayed')
  {among}
ORDER BY a.CreatedAt, a.AlertId;
