"""The pages of the console, for people with a browser: each reads a request, calls one operation, shows the answer."""
