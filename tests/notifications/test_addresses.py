"""Addresses are checked at the door, and nobody gets a mail twice."""

from __future__ import annotations

import pytest

from batchwright.engine.errors import Refused
from batchwright.notifications.addresses import check_address, recipients


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("jane@example.com", "jane@example.com"),
        (" jane@example.com ", "jane@example.com"),
        ("Jane Doe <jane@example.com>", "Jane Doe <jane@example.com>"),
        ('"Doe, Jane" <jane@example.com>', '"Doe, Jane" <jane@example.com>'),
        ("Jörg Müller <jm@example.com>", "Jörg Müller <jm@example.com>"),
        ("jm@müller.example", "jm@xn--mller-kva.example"),
        ("batchwright@localhost", "batchwright@localhost"),
    ],
)
def test_an_address_is_kept_with_its_name(text: str, kept: str) -> None:
    assert check_address(text) == kept


@pytest.mark.parametrize("text", ["jane@example.com", "Jörg Müller <jm@example.com>", "a@müller.example"])
def test_a_checked_address_passes_the_check_unchanged(text: str) -> None:
    once = check_address(text)
    assert check_address(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "",
        "jane",
        "@example.com",
        "jane@",
        "jane doe@example.com",
        "jane@example.com\nBcc: all@example.com",
        "jane@example.com\r\n",
        "Jane\r\nBcc: x@example.com <jane@example.com>",
        "jane@example.com, john@example.com",
        "jane@example.com john@example.com",
        "Jane <jane@example.com> john@example.com",
        "jane@ex ample.com",
        "jane@example..com",
        "jörg@example.com",
        "jane@" + "a" * 250 + ".com",
        "a\0b@example.com",
    ],
)
def test_what_is_no_single_address_is_refused_with_the_value_and_a_remedy(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        check_address(text)
    assert repr(text) in refusal.value.message
    assert refusal.value.remedy is not None
    assert "jane@example.com" in refusal.value.remedy


def test_an_actor_that_is_an_address_gets_mail() -> None:
    assert recipients("jane@example.com", {}, [], True) == ["jane@example.com"]


def test_an_actor_gets_mail_at_the_address_that_the_settings_map_the_name_to() -> None:
    assert recipients("Jane", {"jane": "jane@example.com"}, [], True) == ["jane@example.com"]


def test_an_actor_without_an_address_is_recorded_as_none() -> None:
    assert recipients("jane", {}, ["ops@example.com"], True) == [None, "ops@example.com"]


def test_the_actor_is_left_out_when_no_mail_is_wanted_but_notify_is_not() -> None:
    assert recipients("jane@example.com", {}, ["ops@example.com"], False) == ["ops@example.com"]


def test_the_same_mailbox_in_another_case_of_the_domain_gets_one_mail() -> None:
    notify = ["Jane <jane@EXAMPLE.com>", "Jane@example.com", "ops@example.com", "ops@example.com"]
    assert recipients("jane@example.com", {}, notify, True) == [
        "jane@example.com",
        "Jane@example.com",
        "ops@example.com",
    ]


def test_an_address_in_the_settings_that_cannot_be_used_does_not_fail_the_end_of_a_run() -> None:
    assert recipients("jane", {"jane": "jane@\r\nexample.com"}, [], True) == [None]
