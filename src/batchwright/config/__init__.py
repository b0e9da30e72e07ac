"""The settings and the log set-up: the part that every other part may import."""
