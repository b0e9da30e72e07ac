"""`python -m batchwright`: the command `batchwright`, by the interpreter that is named."""

from batchwright.cli.main import main

if __name__ == "__main__":
    main(prog_name="python -m batchwright")
