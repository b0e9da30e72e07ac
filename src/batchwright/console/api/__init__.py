"""The HTTP API: `application` puts it together, `routes` has its doors, the rest is what they share."""
