-- take_over: where the one who asks runs.
SELECT HostName FROM Instance WHERE InstanceId = ?1
