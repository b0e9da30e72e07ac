"""Links that are good once, for an hour: by mail to set a password, printed to make the first administrator."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final

from sqlalchemy import Connection, RowMapping

from batchwright.engine.clock import Clock
from batchwright.engine.store.database import Database
from batchwright.notifications.account import ACCOUNT, RESET
from batchwright.notifications.outbox import RUN_ENDED, Mail
from batchwright.notifications.preferences import bare_address
from batchwright.notifications.token_expires import TOKEN_EXPIRES
from batchwright.operations import sign_in_store, user_store
from batchwright.operations.roles import Right, has_right
from batchwright.operations.unsubscribe_links import unsubscribe_link

GOOD_FOR: Final = timedelta(hours=1)
OF_CHOICE: Final = ("run_ended", "digest", "schedule_late")
"""The kinds of mail that a user may refuse."""
LONGEST_CODE: Final = 128
"""Characters; no code of ours is as long."""


def new_code(
    connection: Connection, now: datetime, *, user_id: int | None = None, os_user: str | None = None
) -> str:
    """The code of a new link, of which only a hash is kept."""
    code = secrets.token_urlsafe(32)
    values = {"user_id": user_id, "os_user": os_user, "created_at": now, "expires_at": now + GOOD_FOR}
    sign_in_store.add_link(connection, {"hash": _hash(code), **values})
    return code


def link_of(connection: Connection, code: str, now: datetime, *, kept: bool = False) -> RowMapping | None:
    """The link of a code, if it is good; `kept` from others until the transaction ends."""
    if not code or len(code) > LONGEST_CODE or not code.isascii():
        return None
    return sign_in_store.good_link(connection, _hash(code), now, kept=kept)


def secrets_of_mail(database: Database, clock: Clock, base_url: str, mail: Mail) -> Mapping[str, Any]:
    """What a mail holds and the outbox does not, made as the mail is sent: the link that sets a password, or the one by
    which its recipient gets no mail of runs any more, and what they may do.
    """
    if mail.kind == TOKEN_EXPIRES:
        with database.read() as connection:
            return of_reader(connection, mail)
    if mail.kind in OF_CHOICE and mail.recipient:
        with database.read() as connection:
            return {**_unsubscribe(connection, mail, mail.recipient), **of_reader(connection, mail)}
    if mail.kind != ACCOUNT or mail.facts["event"] != RESET:
        return {}
    with database.write() as connection:
        user = user_store.user_by_email(connection, mail.facts["email"], kept=True)
        if user is None or user["disabled"]:
            return {"link": None}
        code = new_code(connection, clock.now(), user_id=user["id"])
    return {"link": f"{base_url.rstrip('/')}/reset?code={code}"}


def of_reader(connection: Connection, mail: Mail) -> Mapping[str, Any]:
    """Whether the recipient may retry the run of a mail, or replace the token: by the role of their user, as long as
    there are users.
    """
    if mail.kind not in (RUN_ENDED, TOKEN_EXPIRES) or mail.recipient is None:
        return {}
    user = user_store.user_by_email(connection, bare_address(mail.recipient))
    if mail.kind == TOKEN_EXPIRES:
        return {"may_administer": user is not None and has_right(user["role"], Right.ADMINISTER)}
    if user is None:
        return {"may_retry": not user_store.list_users(connection, limit=1)}
    right = Right(mail.facts.get("retry_role") or Right.OPERATE)
    return {"may_retry": not user["disabled"] and has_right(user["role"], right)}


def _unsubscribe(connection: Connection, mail: Mail, recipient: str) -> Mapping[str, Any]:
    base_url = mail.facts.get("base_url")
    return {"unsubscribe": unsubscribe_link(connection, base_url, recipient)} if base_url else {}


def _hash(code: str) -> str:
    return sha256(code.encode()).hexdigest()
