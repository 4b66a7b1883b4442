-- How many rows were met, the last one, and the next send port.
SET @count = (SELECT COUNT(*) FROM @rows);
SET @last = (SELECT MAX(n.CreatedAt) FROM @rows n);
SET @alert = (SELECT MAX(n.AlertId) FROM @rows n WHERE n.CreatedAt = @last);
SELECT @count, CONVERT(nvarchar(30), @last, 121), @alert, @port;
