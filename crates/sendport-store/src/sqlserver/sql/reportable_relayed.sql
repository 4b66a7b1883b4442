-- SqlServerStore::reportable
-- @P1 send port, @P2 seconds to look back, @P3 most alerts, @P4 1: also messages whose client gave no NOTIFY; {among} as in
-- reportable_failed. Answers AlertId and the seconds since it is final, of submitted messages with a relayed recipient that
-- nothing was reported of.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @since datetime2(3) = DATEADD(second, -@P2, @now);
DECLARE @adopted datetime2(3) = COALESCE((SELECT e.AdoptedAt FROM sendport.Environment e WITH (READUNCOMMITTED) WHERE e.EnvironmentId = 1), CONVERT(datetime2(3), N'2000-01-01'));
SELECT TOP (@P3) a.AlertId, DATEDIFF(second, a.FinalAt, @now)
FROM sendport.AlertRow a WITH (READUNCOMMITTED, INDEX (IX_AlertRow_FinalAt), FORCESEEK)
JOIN sendport.ReceivedMessage m WITH (READUNCOMMITTED, INDEX (PK_ReceivedMessage), FORCESEEK) ON m.AlertId = a.AlertId
WHERE a.FinalAt >= @since AND a.FinalAt > @adopted AND a.SendPort = @P1 AND a.Status IN (N'relayed', N'partial')
  AND a.Origin <> N'report' AND m.ReversePath <> N'' AND (@P4 = 1 OR CHARINDEX(N'success', m.RecipientDsn COLLATE Latin1_General_BIN2) > 0)
  AND EXISTS (SELECT 1 FROM sendport.Recipient r WITH (READUNCOMMITTED, INDEX (PK_Recipient), FORCESEEK)
              WHERE r.AlertId = a.AlertId AND r.Status = N'relayed'
                AND NOT EXISTS (SELECT 1 FROM sendport.DeliveryReport d WITH (READUNCOMMITTED, INDEX (PK_DeliveryReport), FORCESEEK)
                                WHERE d.AlertId = r.AlertId AND d.Ordinal = r.Ordinal AND d.Action = N'relayed'))
  {among}
ORDER BY a.FinalAt, a.AlertId;
