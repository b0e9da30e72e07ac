"""A job as an author writes it in a `jobs.py` of their own: of each coin it notes the process that did it."""

import os
from collections.abc import Iterable

from sqlalchemy import BigInteger, Boolean, Column, MetaData, Table, select, update

from batchwright import BatchJob, Record, Scope, StartContext

coin = Table(
    "coin",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("done", Boolean),
    Column("process", BigInteger),
)


class TheirJob(BatchJob):
    """A scope for each coin."""

    name = "their-job"
    type = "Their job"
    scope_size = 1

    def start(self, context: StartContext) -> Iterable[Record]:
        coins = context.connection.execute(select(coin.c.id).order_by(coin.c.id)).scalars()
        yield from map(Record, coins)

    def execute(self, scope: Scope) -> None:
        mine = update(coin).where(coin.c.id.in_(scope.keys)).values(done=True, process=os.getpid())
        scope.connection.execute(mine)
