-- note_unrouted: one that is spelled almost so, and is there.
SELECT min(Name) FROM SendPort
WHERE lower(Name) = lower(?1) AND Name <> ?1 AND LastSeenAt > ?2
