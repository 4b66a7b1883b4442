-- SqlServerStore::reportable
-- @P1 send port, @P2 seconds to look back, @P3 most alerts; {among} becomes a condition about AlertId, or nothing. Answers
-- AlertId and the age of the first failure in seconds, of submitted messages with a failed recipient that nothing was
-- reported of. Locks nothing: insert_report looks again.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @since datetime2(3) = DATEADD(second, -@P2, @now);
DECLARE @adopted datetime2(3) = COALESCE((SELECT e.AdoptedAt FROM sendport.Environment e WITH (READUNCOMMITTED) WHERE e.EnvironmentId = 1), CONVERT(datetime2(3), N'2000-01-01'));
SELECT TOP (@P3) f.AlertId, DATEDIFF(second, f.At, @now)
FROM (SELECT r.AlertId, MIN(r.StatusAt) AS At
      FROM sendport.Recipient r WITH (READUNCOMMITTED, INDEX (IX_Recipient_Failed), FORCESEEK)
      JOIN sendport.AlertRow a WITH (READUNCOMMITTED, INDEX (PK_AlertRow), FORCESEEK) ON a.AlertId = r.AlertId
      JOIN sendport.ReceivedMessage m WITH (READUNCOMMITTED, INDEX (PK_ReceivedMessage), FORCESEEK) ON m.AlertId = r.AlertId
      WHERE r.Status IN (N'failed', N'expired') AND r.StatusAt >= @since AND r.StatusAt > @adopted
        AND a.SendPort = @P1 AND a.Origin <> N'report'
        AND NOT EXISTS (SELECT 1 FROM sendport.DeliveryReport d WITH (READUNCOMMITTED, INDEX (PK_DeliveryReport), FORCESEEK)
                        WHERE d.AlertId = r.AlertId AND d.Ordinal = r.Ordinal AND d.Action = N'failed')
        {among}
      GROUP BY r.AlertId) f
ORDER BY f.At, f.AlertId;
