-- load: the recipients' rows of one alert.
SELECT Ordinal, Kind, Address, DisplayName, Status, AttemptCount, WasRelayed
FROM Recipient
WHERE AlertId = ?1
ORDER BY Ordinal
