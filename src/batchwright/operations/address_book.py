"""Who gets a run's mail: names mapped to addresses by user rows and settings, and what each recipient chose."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import Connection

from batchwright.config.settings import Settings
from batchwright.operations import user_store


class AddressBook(NamedTuple):
    """`addresses` by name in lower case (a login name, or one of `[actors]`); `choices` by bare address."""

    addresses: dict[str, str]
    choices: dict[str, str]


def address_book(connection: Connection, settings: Settings) -> AddressBook:
    """The users and the actors of the settings; where both map a name, the user row counts. One statement."""
    addresses, choices = dict(settings.actors), {}
    for user in user_store.list_users(connection):
        choices[user["email"]] = user["mail"]
        if user["os_user"] and not user["disabled"]:
            addresses[user["os_user"].lower()] = user["email"]
    return AddressBook(addresses, choices)
