"""No mail of runs any more, for who has the link of one."""

from __future__ import annotations

import hmac
from typing import Final

import structlog

from batchwright.config.settings import operating_system_user
from batchwright.engine.errors import NotFound
from batchwright.notifications.preferences import NEVER, bare_address
from batchwright.operations import token_store, user_store
from batchwright.operations.access import audit
from batchwright.operations.access.users import existing_user, user_view
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application
from batchwright.operations.unsubscribe_links import code_of

BY_LINK: Final = "by the link of a mail"

log = structlog.get_logger()


def unsubscribe(app: Application, email: str, code: str) -> str:
    """Send the user of a link no mail of runs any more, and return their address. Refuses a code that is not theirs."""
    now = app.clock.now()
    with app.database.write() as connection:
        email = bare_address(email)
        if not hmac.compare_digest(code_of(connection, email).encode(), code.encode("utf-8", "replace")):
            log.warning("a link to unsubscribe was not good")
            raise NotFound(
                "this link is not good", field="code", remedy="Sign in and choose under Your preferences"
            )
        user = existing_user(connection, email)
        if user["mail"] != NEVER:
            holders = token_store.holders(connection, now)
            before = user_view(user, holders)
            user_store.change_user(connection, user["id"], {"mail": NEVER})
            after = {**before, "mail": NEVER}
            actor = Actor(email, operating_system_user())
            audit.record(
                connection,
                actor,
                "user.preferences",
                email,
                reason=BY_LINK,
                before=before,
                after=after,
                now=now,
            )
    return email
