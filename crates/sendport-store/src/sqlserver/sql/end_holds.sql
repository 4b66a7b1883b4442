-- SqlServerStore::end_holds
-- @P1 a release: the holds that it names end: one, all, or those with the same target. A redirect ends by its number
-- alone, so that no release of a hold lets messages out to their recipients. Its row says what ended.
SET LOCK_TIMEOUT 5000;
DECLARE @now datetime2(3) = SYSUTCDATETIME(), @ended int;
BEGIN TRANSACTION;
UPDATE o SET State = N'done', CompletedAt = @now, Result = N'released by request ' + CONVERT(nvarchar(20), q.RequestId)
FROM sendport.OperatorRequest o
JOIN sendport.OperatorRequest q ON q.RequestId = @P1
WHERE o.State = N'open' AND o.Verb IN (N'hold', N'redirect') AND o.RequestId < @P1
  AND (q.HoldRequestId = o.RequestId
       OR o.Verb = N'hold' AND q.MatchesAll = 1
       OR o.Verb = N'hold' AND q.HoldRequestId IS NULL
          AND (q.AlertId = o.AlertId OR q.SendPort = o.SendPort OR q.AlertName = o.AlertName));
SET @ended = @@ROWCOUNT;
UPDATE q SET Result = CASE
        WHEN (SELECT h.Verb FROM sendport.OperatorRequest h WHERE h.RequestId = q.HoldRequestId) = N'redirect'
        THEN N'a redirect ended: alerts go to their recipients again, unless another redirect matches them'
        WHEN @ended = 1 THEN N'a hold ended' ELSE CONVERT(nvarchar(10), @ended) + N' holds ended' END
FROM sendport.OperatorRequest q WHERE q.RequestId = @P1 AND @ended > 0;
COMMIT TRANSACTION;
