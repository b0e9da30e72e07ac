"""Draft rating of generated inputs, timed against the least that the database needs for the same rows."""
