"""Addresses are checked at the door, and nobody gets a mail twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from batchwright.config.settings import SettingsError, load_settings
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
        ("jane@faß.de", "jane@xn--fa-hia.de"),
        ("jane@FAẞ.de", "jane@xn--fa-hia.de"),
        ("jane@xn--fa-hia.de", "jane@xn--fa-hia.de"),
        ("jane@例え.jp", "jane@xn--r8jz45g.jp"),
        ("jane@müller.example", "jane@xn--mller-kva.example"),
        ("jane@mail_server", "jane@mail_server"),
        ("jane@[127.0.0.1]", "jane@[127.0.0.1]"),
        ("jane@[IPv6:::1]", "jane@[IPv6:::1]"),
        (f"{'n' * 200} <jane@example.com>", f"{'n' * 200} <jane@example.com>"),
        ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
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
        "jane@℀.com",
        "jane@⒈com",
        "jane@\uff45xample.com",
        "jane@exa\u200dmple.com",
        "jane@xn--.com",
        "jane@xn--zzzzzzz999999.com",
        "jane@-example.com",
        "jane@example-.com",
        "jane@example.com.",
        "jane@" + "a" * 64 + ".com",
        "jane@exämple_.com",
        "jane@[127.0.0.300]",
        "jane@example.com (Jane)",
        "jane(comment)@example.com",
        "(comment) jane@example.com",
        "jane@(comment)example.com",
        "team: jane@example.com, john@example.com;",
        "jane@example.com; john@example.com",
        "<jane@example.com>, <john@example.com>",
        "<@one.example,@two.example:jane@example.com>",
        "=?utf-8?q?Jane=0d=0aBcc:_all=40example.com?= <jane@example.com>",
        "=?utf-8?b?SmFuZQ==?= <jane@example.com>",
        '"=?utf-8?q?Jane=0a?=" <jane@example.com>',
        "n" * 900 + " <jane@example.com>",
        "a" * 65 + "@example.com",
        "a" * 900 + "@example.com",
        "jane@a@example.com",
    ],
)
def test_what_is_no_single_address_is_refused_with_the_value_and_a_remedy(text: str) -> None:
    with pytest.raises(Refused) as refusal:
        check_address(text)
    assert repr(text[:300]) in refusal.value.message
    assert refusal.value.remedy is not None
    assert "jane@example.com" in refusal.value.remedy


@pytest.mark.parametrize(
    "text", ["a@℀.com", "a@x.com, b@x.com", "a@x.com (A)", "=?utf-8?q?A=0a?= <a@x.com>", "ä@x.com"]
)
def test_settings_judge_addresses_in_the_same_way(text: str, tmp_path: Path) -> None:
    for variable in ("MAIL__SENDER", "ACTORS__JANE"):
        with pytest.raises(SettingsError) as refusal:
            load_settings({f"BATCHWRIGHT_{variable}": text}, tmp_path)
        with pytest.raises(Refused) as other:
            check_address(text)
        assert other.value.message.removeprefix(repr(text)) in str(refusal.value)


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
