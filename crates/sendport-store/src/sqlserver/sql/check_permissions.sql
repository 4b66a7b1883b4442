-- SqlServerStore::check_permissions
-- The permissions that the service needs and this user lacks: user, permission and table.
SELECT USER_NAME(), p.Permission, t.TableName
FROM (VALUES (N'Instance', 1, 1, 1), (N'SendPort', 1, 1, 1), (N'SendPortRelay', 1, 1, 1), (N'RelayState', 1, 1, 1),
             (N'EventLog', 1, 0, 0), (N'ReplyExplanation', 1, 1, 1), (N'AlertRow', 0, 1, 0), (N'Recipient', 1, 1, 1),
             (N'Attempt', 1, 1, 1), (N'AttemptReply', 1, 0, 0), (N'Attachment', 0, 0, 0), (N'AttachmentRow', 1, 0, 0),
             (N'Template', 0, 0, 0), (N'Certificate', 0, 0, 0)) t (TableName, MayInsert, MayUpdate, MayDelete)
JOIN (VALUES (N'SELECT'), (N'INSERT'), (N'UPDATE'), (N'DELETE')) p (Permission)
    ON p.Permission = N'SELECT' OR (p.Permission = N'INSERT' AND t.MayInsert = 1)
        OR (p.Permission = N'UPDATE' AND t.MayUpdate = 1) OR (p.Permission = N'DELETE' AND t.MayDelete = 1)
WHERE COALESCE(HAS_PERMS_BY_NAME(CONCAT(N'sendport.', t.TableName), N'OBJECT', p.Permission), 0) = 0
ORDER BY t.TableName, p.Permission;
