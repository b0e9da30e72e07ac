"""What ends the driving of a run at once. Here, so that a command is listed without loading the engine."""


class StopAtOnce(KeyboardInterrupt):
    """Raised by a handler of ours, at the second Ctrl-C."""
