"""One module per word of the command line; each is imported when its command is called."""
