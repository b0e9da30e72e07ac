"""Whether an answer has the shape that the document says, no more and no less."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


def assert_shape(model: type[BaseModel], value: Any) -> None:
    """Fail unless the model takes the value, and tells all of it again; only what has a default may be missing."""
    assert model.model_validate(value).model_dump(mode="json", exclude_unset=True) == value
