"""Long tests of what the promises say: `make soak`. Short versions of them run with the suite."""
