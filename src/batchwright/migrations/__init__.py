"""One linear chain of Alembic migrations, shipped with the program."""
