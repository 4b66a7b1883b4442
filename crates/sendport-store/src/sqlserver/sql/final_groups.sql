-- SqlServerStore::final_groups
-- Answers the status, the send port, and FinalAt of the oldest alert with a body and of the oldest without. From one
-- send port to the next by seeks, however many alerts each has. READUNCOMMITTED: it waits for no transaction.
DECLARE @groups TABLE (Status nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL,
                       SendPort nvarchar(64) COLLATE Latin1_General_BIN2 NOT NULL,
                       PRIMARY KEY (Status, SendPort));
DECLARE @statuses TABLE (Status nvarchar(16) COLLATE Latin1_General_BIN2 NOT NULL PRIMARY KEY);
DECLARE @status nvarchar(16), @port nvarchar(64);
INSERT @statuses (Status)
VALUES (N'relayed'), (N'partial'), (N'failed'), (N'expired'), (N'cancelled'), (N'suppressed');
SET @status = (SELECT MIN(s.Status) FROM @statuses s);
WHILE @status IS NOT NULL
BEGIN
    SET @port = (SELECT MIN(a.SendPort)
                 FROM sendport.AlertRow a WITH (READUNCOMMITTED, INDEX (IX_AlertRow_Live), FORCESEEK)
                 WHERE a.Status = @status);
    WHILE @port IS NOT NULL
    BEGIN
        INSERT @groups (Status, SendPort) VALUES (@status, @port);
        SET @port = (SELECT MIN(a.SendPort)
                     FROM sendport.AlertRow a WITH (READUNCOMMITTED, INDEX (IX_AlertRow_Live), FORCESEEK)
                     WHERE a.Status = @status AND a.SendPort > @port);
    END;
    SET @status = (SELECT MIN(s.Status) FROM @statuses s WHERE s.Status > @status);
END;
SELECT g.Status, g.SendPort,
       (SELECT TOP (1) a.FinalAt
        FROM sendport.AlertRow a WITH (READUNCOMMITTED, INDEX (IX_AlertRow_Live), FORCESEEK)
        WHERE a.Status = g.Status AND a.SendPort = g.SendPort AND a.BodyPurged = 0 AND a.FinalAt IS NOT NULL
        ORDER BY a.CreatedAt, a.AlertId),
       (SELECT TOP (1) a.FinalAt
        FROM sendport.AlertRow a WITH (READUNCOMMITTED, INDEX (IX_AlertRow_Live), FORCESEEK)
        WHERE a.Status = g.Status AND a.SendPort = g.SendPort AND a.BodyPurged = 1 AND a.FinalAt IS NOT NULL
        ORDER BY a.CreatedAt, a.AlertId)
FROM @groups g
ORDER BY g.Status, g.SendPort;
