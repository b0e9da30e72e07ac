"""What a person or a program can ask of the application; the command line and the console call it."""
