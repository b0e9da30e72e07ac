"""The doors of the API, a module for each noun. A door reads the request, calls one operation, and shows the answer."""
