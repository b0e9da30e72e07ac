"""The shapes of answers, for the description of the API; what is sent is what the operations give."""
