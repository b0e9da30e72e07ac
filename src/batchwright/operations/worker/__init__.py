"""What a worker does beside driving runs: fire schedules, watch for late ones, send mail, seal, make digests."""
