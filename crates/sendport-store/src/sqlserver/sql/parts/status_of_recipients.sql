-- The status of an alert as it follows from those of its recipients r, as domain::status_of has it.
CASE
    WHEN SUM(CASE WHEN r.Status = N'delayed' THEN 1 ELSE 0 END) > 0 THEN N'delayed'
    WHEN SUM(CASE WHEN r.Status = N'queued' THEN 1 ELSE 0 END) > 0 THEN N'queued'
    WHEN SUM(CASE WHEN r.Status = N'relayed' THEN 0 ELSE 1 END) = 0 THEN N'relayed'
    WHEN SUM(CASE WHEN r.Status = N'relayed' THEN 1 ELSE 0 END) > 0 THEN N'partial'
    WHEN SUM(CASE WHEN r.Status = N'expired' THEN 0 ELSE 1 END) = 0 THEN N'expired'
    WHEN SUM(CASE WHEN r.Status = N'cancelled' THEN 0 ELSE 1 END) = 0 THEN N'cancelled'
    WHEN SUM(CASE WHEN r.Status = N'suppressed' THEN 0 ELSE 1 END) = 0 THEN N'suppressed'
    ELSE N'failed' END
