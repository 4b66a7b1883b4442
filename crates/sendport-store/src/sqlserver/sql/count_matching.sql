-- SqlServerStore::count_matching
-- @P1 verb, @P2 to @P12 the filter, @P13 all, @P14 recipients, @P15 and @P16 the time and the bodies of a
-- purge, @P17 and @P18 first and last id. {index} is the index to seek in, {statuses} the statuses to look for. Answers send port, status and number of the alerts that
-- match, as if the request were there already; it is in force for what is being sent, too. READUNCOMMITTED: waits for
-- nobody.
DECLARE @now datetime2(3) = SYSUTCDATETIME();
DECLARE @hour datetime2(3) = DATEADD(hour, -1, @now);
SELECT a.SendPort, a.Status, COUNT_BIG(*)
FROM (SELECT CAST(9223372036854775807 AS bigint) AS RequestId, CAST(@P1 AS nvarchar(16)) COLLATE Latin1_General_BIN2 AS Verb,
             CAST(@P2 AS bigint) AS AlertId, CAST(@P3 AS nvarchar(64)) COLLATE Latin1_General_BIN2 AS SendPort,
             CAST(@P4 AS nvarchar(128)) AS AlertName,
             CAST(@P5 AS nvarchar(200)) COLLATE Latin1_General_BIN2 AS Reference, CAST(@P6 AS nvarchar(128)) AS CreatedBy,
             CAST(@P7 AS nvarchar(128)) AS Relay,
             CAST(@P8 AS nvarchar(64)) COLLATE Latin1_General_BIN2 AS ExplanationKey,
             CAST(@P9 AS nvarchar(16)) COLLATE Latin1_General_BIN2 AS Status, CAST(@P10 AS datetime2(3)) AS CreatedFrom,
             CAST(@P11 AS datetime2(3)) AS CreatedUntil, CAST(@P12 AS bigint) AS HoldRequestId,
             CAST(@P13 AS bit) AS MatchesAll, CAST(@P14 AS nvarchar(16)) COLLATE Latin1_General_BIN2 AS Recipients,
             CASE WHEN @P15 < @hour THEN @P15 ELSE @hour END AS FinalBefore, CAST(@P16 AS bit) AS BodiesOnly,
             @now AS RequestedAt) q
JOIN sendport.AlertRow a WITH (READUNCOMMITTED, INDEX ({index}), FORCESEEK)
  ON a.Status IN ({statuses}) AND a.AlertId BETWEEN @P17 AND @P18
WHERE {request_applies}
   OR q.Verb IN (N'cancel', N'hold', N'redirect') AND a.Status = N'sending' AND {request_matches}
GROUP BY a.SendPort, a.Status
ORDER BY a.SendPort, a.Status;
