"""Parameters of a job have one schema, and what does not fit it is refused plainly."""

from __future__ import annotations

from typing import Any

import pytest

from batchwright.engine.errors import Refused
from tests.engine.jobs import Parcels


@pytest.mark.parametrize(
    ("parameters", "field", "said"),
    [
        ({"idz": [1]}, "idz", "Extra inputs"),
        ({"ids": ["one"]}, "ids.0", "valid integer"),
        ({"ids": 5}, "ids", "valid tuple"),
        ({"customer": 5}, "customer", "valid string"),
    ],
)
def test_bad_parameters_are_refused_with_the_field_and_those_there_are(
    spy: type[Parcels], parameters: dict[str, Any], field: str, said: str
) -> None:
    with pytest.raises(Refused, match=said) as refusal:
        spy(**parameters)
    assert refusal.value.field == field
    assert refusal.value.remedy == "Parameters of this job: ids, customer"


def test_every_bad_parameter_is_named(spy: type[Parcels]) -> None:
    with pytest.raises(Refused, match=r"customer: .*; idz: "):
        spy(customer=5, idz=1)
