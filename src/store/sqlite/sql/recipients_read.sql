-- learned_recipients: of every relay.
SELECT Relay, Recipients, PauseSeconds, LearnedAt FROM RelayRecipients
