"""Every link of every kind of mail, opened by whoever opens mail: it does nothing, and leads on after the sign-in."""

from __future__ import annotations

import re
from dataclasses import replace
from email.message import EmailMessage
from html import unescape
from typing import Any, Final
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from batchwright.notifications.account import ACCOUNT as ACCOUNT_MAIL
from batchwright.notifications.digest import DIGEST_KIND, digest_facts
from batchwright.notifications.records import gather
from batchwright.operations import user_store
from batchwright.operations.access.users import add_user, set_password
from batchwright.operations.app import Application
from batchwright.operations.links import new_code
from batchwright.operations.unsubscribe_links import unsubscribe_link
from tests.console.forms import token_in
from tests.console.rows import rows
from tests.notifications.making import ACCOUNT, LATE, LIMIT, NOW, TOKEN, composer, facts, mail, row, source
from tests.support.application import ACTOR

pytestmark = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)

BASE: Final = "http://127.0.0.1"
RUN: Final = "JR-00000001"
EMAIL, PASSWORD = "vera@example.com", "seven green bottles"
FOR_ALL: Final = ("/reset", "/preferences/unsubscribe")
"""What their secret opens, signed in or not: a page with one button."""


@pytest.fixture
def links(app: Application, furnished: None) -> dict[str, set[str]]:
    """The links of a mail of each kind, its headers among them, by kind; their paths and queries."""
    add_user(app, EMAIL, "viewer", actor=ACTOR)
    set_password(app, EMAIL, PASSWORD, actor=ACTOR)
    with app.database.write() as connection:
        user = user_store.user_by_email(connection, EMAIL)
        assert user is not None
        code = new_code(connection, app.clock.now(), user_id=user["id"])
        unsubscribe = unsubscribe_link(connection, BASE, EMAIL)
    run = facts(run_id=RUN, base_url=BASE, unsubscribe=unsubscribe)
    late = {**LATE, "schedule": "Nightly", "run_id": RUN, "base_url": BASE, "unsubscribe": unsubscribe}
    of_kinds: dict[str, dict[str, Any]] = {
        "run_ended": run,
        "schedule_late": late,
        DIGEST_KIND: {**digest_facts([run, late]), "base_url": BASE, "unsubscribe": unsubscribe},
        ACCOUNT_MAIL: {**ACCOUNT, "link": f"{BASE}/reset?code={code}"},
        "token_expires": {**TOKEN, "base_url": BASE},
    }
    inputs = source([row(7052)], [row(7052, "no_price")])
    records = gather(inputs, RUN, LIMIT)
    return {
        kind: links_of(composer().compose(replace(mail(facts_of, EMAIL), kind=kind), records, NOW))
        for kind, facts_of in of_kinds.items()
    }


def links_of(message: EmailMessage) -> set[str]:
    """The addresses of our site in the headers and both parts."""
    said = [str(value) for value in message.values()]
    for kind in ("plain", "html"):
        part = message.get_body((kind,))
        assert part is not None
        said.append(unescape(part.get_content()))
    return {
        found.removeprefix(BASE) or "/"
        for text in said
        for found in re.findall(rf"{re.escape(BASE)}[^\s\"'<>]*", text)
    }


def opened(web: TestClient, link: str) -> set[tuple[int, str | None]]:
    """Status and where it leads, asked for as scanners of mail do; a method that is not possible does nothing."""
    answers = [web.request(method, link, follow_redirects=False) for method in ("HEAD", "GET", "GET")]
    return {
        (answer.status_code, answer.headers.get("Location"))
        for answer in answers
        if answer.status_code != 405
    }


def test_a_link_in_a_mail_does_nothing_and_leads_on_after_the_sign_in(
    app: Application, web: TestClient, links: dict[str, set[str]]
) -> None:
    assert {kind for kind, found in links.items() if found} >= {
        "run_ended",
        "schedule_late",
        DIGEST_KIND,
        "account",
    }
    assert links["run_ended"] >= {
        f"/runs/{RUN}",
        f"/runs/{RUN}/retry",
        "/preferences",
        "/usage-inputs/IN-00007052",
    }
    every = sorted(set().union(*links.values()))
    before = rows(app)
    for link in every:
        found = opened(web, link)
        wanted = "/sign-in" if link == "/" else f"/sign-in?next={quote(link, safe='')}"
        assert found == ({(200, None)} if link.startswith(FOR_ALL) else {(303, wanted)}), link
    assert rows(app) == before
    for link in (one for one in every if not one.startswith(FOR_ALL)):
        web.cookies.clear()
        token = token_in(web.get(f"/sign-in?next={quote(link, safe='')}").text)
        sent = {"email": EMAIL, "password": PASSWORD, "csrf_token": token, "next": link}
        there = web.post("/sign-in", data=sent, follow_redirects=False)
        assert (there.status_code, there.headers["Location"]) == (303, link)
        before = rows(app)
        found = opened(web, link)
        is_others = link.endswith("/retry")
        assert found == {(403 if is_others else 200, None)}, link
        changed = {name for name, digest in rows(app).items() if digest != before[name]}
        # That a viewer asked for the page of an act is on record; nothing else is.
        assert changed <= ({"audit_entry"} if is_others else set()), link
