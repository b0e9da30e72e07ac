"""From the ids that a caller names to keys, and back; in sets, however many there are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal

from sqlalchemy import Connection

from batchwright.billing.exact import quantity_text
from batchwright.billing.records.driver import Driver
from batchwright.billing.records.inputs import by_ids
from batchwright.engine.errors import Refused


def input_keys(connection: Connection, ids: Sequence[str]) -> list[int]:
    """Keys of usage inputs. Raises ``Refused`` naming every id that nobody has, or that was deleted."""
    return _keys(connection, "usage_input", "usage_input_id", ids, " AND NOT t.deleted")


def asset_keys(connection: Connection, ids: Sequence[str]) -> list[int]:
    """Keys of asset line items. Raises ``Refused`` naming every id that nobody has."""
    return _keys(connection, "asset_line_item", "asset_line_item_id", ids, "")


def input_ids(connection: Connection, keys: Sequence[int]) -> dict[int, str]:
    """Usage input ids by key, of deleted ones, too."""
    driver = Driver(connection)
    return dict(driver.rows("SELECT id, usage_input_id FROM usage_input WHERE id {among}", driver.keys(keys)))


def input_keys_by_id(connection: Connection, ids: Sequence[str]) -> dict[str, int]:
    """Keys of usage inputs by id, of deleted ones, too; ids that nobody has are missing."""
    return {an_id: row["id"] for an_id, row in by_ids(connection, ids).items()}


def present_input_ids(connection: Connection, keys: Sequence[int]) -> list[str]:
    """Usage input ids in order of key, those of deleted ones left out."""
    driver = Driver(connection)
    rows = driver.rows(
        "SELECT usage_input_id FROM usage_input WHERE id {among} AND NOT deleted ORDER BY id",
        driver.keys(keys),
    )
    return [an_id for (an_id,) in rows]


def present_input_keys(connection: Connection, keys: Sequence[int]) -> list[int]:
    """Those of the keys whose usage inputs were not deleted."""
    driver = Driver(connection)
    rows = driver.rows("SELECT id FROM usage_input WHERE id {among} AND NOT deleted", driver.keys(keys))
    return [key for (key,) in rows]


def billing_schedule_ids(connection: Connection, keys: Sequence[int]) -> dict[int, str]:
    """Billing schedule ids by key."""
    driver = Driver(connection)
    return dict(
        driver.rows(
            "SELECT id, billing_schedule_id FROM billing_schedule WHERE id {among}", driver.keys(keys)
        )
    )


def customer_ids(connection: Connection, keys: Sequence[int]) -> dict[int, str]:
    """Customer ids by key."""
    driver = Driver(connection)
    return dict(driver.rows("SELECT id, customer_id FROM customer WHERE id {among}", driver.keys(keys)))


def input_facts(connection: Connection, keys: Sequence[int]) -> dict[int, Mapping[str, str]]:
    """Asset, usage date, quantity and customer of usage inputs, as text, by key."""
    driver = Driver(connection)
    rows = driver.rows(
        "SELECT u.id, a.asset_line_item_id, u.usage_date, u.quantity, c.customer_id, c.name FROM usage_input AS u"
        " JOIN asset_line_item AS a ON a.id = u.asset_key JOIN customer AS c ON c.id = a.customer_key"
        " WHERE u.id {among}",
        driver.keys(keys),
    )
    return {
        key: {
            "asset_line_item_id": asset,
            "usage_date": str(day),
            "quantity": quantity_text(Decimal(quantity)),
            "customer_id": customer,
            "customer_name": name,
        }
        for key, asset, day, quantity, customer, name in rows
    }


def asset_ids_of(connection: Connection, input_keys: Sequence[int]) -> list[str]:
    """Ids of the assets that these inputs belong to, each once, sorted."""
    driver = Driver(connection)
    rows = driver.rows(
        "SELECT DISTINCT a.asset_line_item_id FROM usage_input AS u"
        " JOIN asset_line_item AS a ON a.id = u.asset_key WHERE u.id {among}",
        driver.keys(input_keys),
    )
    return sorted(an_id for (an_id,) in rows)


def asset_keys_of(connection: Connection, input_keys: Sequence[int]) -> list[int]:
    """Keys of the assets that these inputs belong to, each once."""
    driver = Driver(connection)
    rows = driver.rows("SELECT DISTINCT asset_key FROM usage_input WHERE id {among}", driver.keys(input_keys))
    return [key for (key,) in rows]


def _keys(connection: Connection, table: str, column: str, ids: Sequence[str], condition: str) -> list[int]:
    driver = Driver(connection)
    wanted = list(dict.fromkeys(ids))
    if driver.is_postgresql:
        source, parameter = "unnest(?::text[]) AS w(value)", wanted
    else:
        source, parameter = "json_each(?) AS w", json.dumps(wanted)  # type: ignore[assignment]
    found: dict[str, int] = dict(
        driver.rows(
            f"SELECT t.{column}, t.id FROM {source} JOIN {table} AS t ON t.{column} = w.value{condition}",
            parameter,
        )
    )
    unknown = [one for one in wanted if one not in found]
    if unknown:
        noun = column.removesuffix("_id").replace("_", " ")
        raise Refused(
            f"unknown {noun} id{'s' if len(unknown) > 1 else ''}: {', '.join(unknown)}",
            field=f"{column}s",
            remedy=f"Leave {'them' if len(unknown) > 1 else 'it'} out, or correct the spelling",
        )
    return [found[one] for one in wanted]
