-- SqlServerStore::adopt
-- @P1 limit; {among} becomes a condition about AlertId, or nothing.
-- Answers AlertId, StatusAt, SendPort, the time that passed, how many recipients it has, and the
-- three lists, of alerts that are not final.
SELECT TOP (@P1) a.AlertId, a.StatusAt, a.SendPort, a.CreatedAt,
       (SELECT COUNT(*) FROM sendport.Recipient r WITH (INDEX (PK_Recipient), FORCESEEK) WHERE r.AlertId = a.AlertId),
       a.ToRecipients, a.CcRecipients, a.BccRecipients
FROM sendport.AlertRow a WITH (INDEX (IX_AlertRow_Live), FORCESEEK) WHERE a.Status IN (N'queued', N'delayed', N'held')
  {among}
ORDER BY a.AlertId;
