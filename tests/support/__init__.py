"""Real servers for the tests, the bench and the soak."""
