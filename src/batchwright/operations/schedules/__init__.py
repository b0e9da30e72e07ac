"""Acts on schedules and cron expressions: make, change, apply from a file, backfill; and the runs that fires submit."""
