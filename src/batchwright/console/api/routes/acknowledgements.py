"""Acknowledging what needs somebody."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from starlette.responses import Response

from batchwright.console.api.door import CALL, Body, Call, Doors, answer
from batchwright.console.api.models.runs import Acknowledgement
from batchwright.operations.access.permissions import Right
from batchwright.operations.acknowledging import acknowledge

doors = Doors("acknowledgements")


class New(Body):
    """What somebody has seen: a run that ended badly, a schedule in trouble, a mail that failed."""

    kind: Literal["run", "schedule", "mail"]
    subject: str = Field(description="Its id, or the name of the schedule", examples=["JR-00000042"])
    note: str | None = Field(None, description="For others")


@doors.door("POST", "/acknowledgements", acknowledge, Right.OPERATE, answers={200: Acknowledgement})
def add(new: New, call: Call = CALL) -> Response:
    """Mark what needs somebody as seen."""
    return answer(acknowledge(call.app, new.kind, new.subject, note=new.note, actor=call.actor))
