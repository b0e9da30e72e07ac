"""Tables and statements: all SQL of the engine stands in this package."""
