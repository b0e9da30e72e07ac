"""What the shapes of answers are made of: amounts, instants, a page of a listing."""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Amount = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$", examples=["4000.00"])]
"""An amount with the digits of its currency."""
Quantity = Annotated[str, Field(pattern=r"^-?\d+\.\d{2,}$", examples=["20.00"])]
Instant = Annotated[
    str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$", examples=["2026-11-21T23:05:00.000Z"])
]
Day = Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\d$", examples=["2023-06-05"])]
Amounts = dict[str, Amount]
"""Amounts by currency."""
Item = TypeVar("Item")


class Answer(BaseModel):
    """A shape is made ready when the description of the API is first asked for."""

    model_config = ConfigDict(defer_build=True)


class Page(Answer, Generic[Item]):
    """A page of a listing: `next` is the `after` of the page behind it, and `null` only at the end."""

    items: list[Item]
    next: str | None
