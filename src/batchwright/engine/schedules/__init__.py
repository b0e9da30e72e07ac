"""Schedules: which nominal times are due, what becomes of each, and who is woken for it."""
