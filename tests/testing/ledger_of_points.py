"""A small house of points: members with a balance, purchases that earn points, and entries that say which."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import BigInteger, Column, Connection, Integer, MetaData, String, Table, insert, select

from batchwright.engine.job import BatchJob, Record, StartContext

metadata = MetaData()
member = Table(
    "member",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("balance", BigInteger, nullable=False),
)
purchase = Table(
    "purchase",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("member_id", BigInteger, nullable=False),
    Column("minor", BigInteger, nullable=False),
    Column("points", BigInteger),
)
entry = Table(
    "entry",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("purchase_id", BigInteger, nullable=False),
    Column("points", BigInteger, nullable=False),
)
summary = Table(
    "summary",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("points", BigInteger, nullable=False),
)

MEMBERS, PURCHASES = 3, 7


def points_data(connection: Connection) -> None:
    """Three members and seven purchases: of 100 minor units the first, of 200 the second, and so on."""
    metadata.create_all(connection)
    connection.execute(insert(member), [{"id": number, "balance": 0} for number in range(1, MEMBERS + 1)])
    bought = [
        {"id": number, "member_id": 1 + (number - 1) * MEMBERS // PURCHASES, "minor": number * 100}
        for number in range(1, PURCHASES + 1)
    ]
    connection.execute(insert(purchase), bought)


class PointsJob(BatchJob):
    """Every purchase that has no points yet is a record, in the order of its key."""

    type = "Points"
    record_noun = "purchase"

    def start(self, context: StartContext) -> Iterator[Record]:
        waiting = select(purchase.c.id).where(purchase.c.points.is_(None)).order_by(purchase.c.id)
        for key in context.connection.execute(waiting).scalars():
            yield Record(key)
