"""Real servers and a real client to put the released binary between."""
