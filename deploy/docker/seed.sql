-- Inserts one alert, once, as an application does, and shows its status.
SET QUOTED_IDENTIFIER ON;
SET NOCOUNT ON;
GO
IF NOT EXISTS (SELECT 1 FROM sendport.AlertStatus WHERE Reference = N'order-4711')
    INSERT INTO sendport.Alert (ToRecipients, Subject, Body, Reference)
    VALUES (N'ops@contoso.example; oncall@contoso.example', N'Order 4711 is late', N'By two hours.', N'order-4711');
GO
DECLARE @looks int = 0;
WHILE @looks < 60 AND NOT EXISTS (SELECT 1 FROM sendport.AlertStatus WHERE Reference = N'order-4711' AND Status = N'relayed')
BEGIN
    WAITFOR DELAY '00:00:00.500';
    SET @looks = @looks + 1;
END;
SELECT AlertId, Status, RecipientCount, RelayedCount FROM sendport.AlertStatus WHERE Reference = N'order-4711';
IF @looks = 60
    THROW 50000, N'the alert was not relayed within 30 seconds', 1;
GO
