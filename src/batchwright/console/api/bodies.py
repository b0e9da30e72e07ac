"""How the JSON of a request is read: strictly, since what is read wrong here becomes money."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

from starlette.requests import Request

from batchwright.console.problems import Problem
from batchwright.engine.errors import storable

MOST_DEPTH: Final = 20


class StrictRequest(Request):
    """A request whose JSON body is read by our rules: no name twice, no fraction as a number, no ``NaN``, not too deep.

    A fraction has to be a string: as a number it would come through a binary float.
    """

    async def json(self) -> Any:
        """The body. Raises `Problem` for one that breaks a rule."""
        return parsed(await self.body())


def check_type(request: Request, wanted: str) -> None:
    """Raise `Problem` (415) for a body of another media type: a form of a foreign page could send it."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != wanted:
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"The body is not said to be {wanted}",
            "Content-Type",
            f"Send the header Content-Type: {wanted}",
        )


def parsed(body: bytes) -> Any:
    """The value of a JSON document. Raises `Problem` (400) for anything else, and where a rule is broken."""
    try:
        value = json.loads(
            body.decode("utf-8-sig"),
            object_pairs_hook=_once,
            parse_float=_no_fraction,
            parse_constant=_no_constant,
            parse_int=_whole_number,
        )
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:  # UnicodeDecodeError, JSONDecodeError
        raise Problem(
            HTTPStatus.BAD_REQUEST, f"The body is not a JSON document: {error}", remedy="Send JSON in UTF-8"
        ) from None
    if _is_deeper(value, MOST_DEPTH):
        raise _too_deep()
    for place, text in _texts(value, ""):
        check_text(text, place or None)
    return value


def check_text(text: str, field: str | None, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
    """Raise `Problem` for a text that no database keeps as it is."""
    if storable(text) != text:
        raise Problem(
            status, "A text holds a NUL or half of a surrogate pair", field, "Leave that character out"
        )


def _texts(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Every text within, the names of members too, and where it is as a JSON pointer."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield place, name
            yield from _texts(one, f"{place}/{name}")
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _texts(one, f"{place}/{number}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) < len(pairs):
        twice = next(name for place, (name, _) in enumerate(pairs) if name in dict(pairs[:place]))
        raise Problem(HTTPStatus.BAD_REQUEST, f"The name {twice!r} is there twice", twice, "Give it once")
    return named


def _no_fraction(text: str) -> Any:
    raise Problem(
        HTTPStatus.BAD_REQUEST,
        f"The number {text} has a fraction or an exponent",
        remedy=f'Write numbers that are not whole as strings: "{text}"',
    )


def _whole_number(text: str) -> int:
    if len(text) > 19:
        raise Problem(
            HTTPStatus.BAD_REQUEST, "A number has more than 18 digits", remedy="Write it as a string"
        )
    return int(text)


def _no_constant(text: str) -> Any:
    raise Problem(
        HTTPStatus.BAD_REQUEST, f"{text} is not a JSON number", remedy="Leave it out, or write null"
    )


def _too_deep() -> Problem:
    return Problem(
        HTTPStatus.BAD_REQUEST, f"The body is nested more than {MOST_DEPTH} deep", remedy="Send less"
    )


def _is_deeper(value: Any, depth: int) -> bool:
    if not isinstance(value, list | dict):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return depth == 0 or any(_is_deeper(one, depth - 1) for one in inside)
