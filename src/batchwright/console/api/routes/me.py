"""Who calls, and the mail that they want."""

from __future__ import annotations

from starlette.responses import Response

from batchwright.console.api.door import CALL, Call, Doors, answer
from batchwright.console.api.models.users import Me, User
from batchwright.console.api.routes.users import MailChoice
from batchwright.operations.access.permissions import Right
from batchwright.operations.access.users import set_mail, show_me

doors = Doors("me")


@doors.door("GET", "/me", show_me, Right.LOOK, answers={200: Me})
def show(call: Call = CALL) -> Response:
    """Who calls."""
    return answer(show_me(call.app, actor=call.actor), request=call.request)


@doors.door("PATCH", "/me/preferences", set_mail, Right.LOOK, answers={200: User})
def preferences(choice: MailChoice, call: Call = CALL) -> Response:
    """Say which mail of ended runs the caller gets."""
    return answer(set_mail(call.app, call.actor.name, choice.mail, actor=call.actor, reason=choice.reason))
