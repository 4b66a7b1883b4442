-- register: the row of this run; repeating the call repeats the row.
INSERT INTO Instance (InstanceId, Name, HostName, ProcessId, Version, StartedAt, RenewedAt, LeaseUntil)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7)
ON CONFLICT (InstanceId) DO UPDATE SET
    Name = excluded.Name, HostName = excluded.HostName, ProcessId = excluded.ProcessId,
    Version = excluded.Version, RenewedAt = excluded.RenewedAt, LeaseUntil = excluded.LeaseUntil, StoppedAt = NULL
