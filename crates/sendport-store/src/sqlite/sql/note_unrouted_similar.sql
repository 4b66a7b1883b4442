-- note_unrouted: one that is spelled almost so, white space and case aside, and is there.
WITH Spelled AS (
    SELECT Name, lower(trim(Name, ?3)) AS Spelling FROM SendPort WHERE LastSeenAt > ?2
)
SELECT min(Name) FROM Spelled WHERE Spelling = lower(trim(?1, ?3)) AND Name <> ?1
