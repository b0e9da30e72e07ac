"""Users: who there are, inviting one, and their role, sessions and tokens. No page shows a secret twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final
from urllib.parse import quote

from fastapi import Query
from starlette.datastructures import FormData
from starlette.responses import Response

from batchwright.console.pages.session_facts import facts_of_session
from batchwright.console.pages.visit import (
    FORM,
    NOTICES,
    VISIT,
    Confirmation,
    ListParams,
    Pages,
    Pairs,
    Params,
    Visit,
    text_of,
)
from batchwright.engine.errors import NotFound, Refused
from batchwright.operations.access.invitations import invite_user, make_password_link
from batchwright.operations.access.permissions import Forbidden, Right
from batchwright.operations.access.sessions import end_session, end_sessions, sessions_page
from batchwright.operations.access.tokens import list_tokens, make_token, revoke_token, tokens_page
from batchwright.operations.access.users import (
    disable_user,
    enable_user,
    set_mail,
    set_role,
    show_user,
    users_page,
)

pages = Pages()
ADMINISTER: Final = Right.ADMINISTER
MAIL_WORDS: Final = {
    "always": "Every mail",
    "errors": "Only of runs in trouble",
    "never": "None",
    "digest": "One digest a day",
}
MOST_SESSIONS: Final = 200
NOTICES["user_role"] = "The role is changed, from the next request on."
NOTICES["user_disabled"] = "The user is disabled: their sessions and tokens have ended."
NOTICES["user_enabled"] = "The user may act again. They need new tokens."
NOTICES["user_mail"] = "The choice of mail is kept."
NOTICES["user_session"] = "The session has ended."
NOTICES["user_sessions"] = "Every session of the user has ended."
NOTICES["user_token"] = "The token is revoked."


@pages.page("/users", ADMINISTER)
def users(params: Annotated[ListParams, Query()], visit: Visit = VISIT) -> Response:
    """The users by address."""
    page = users_page(visit.app, limit=params.limit, after=params.after, actor=visit.actor)
    return visit.page("users.html", page=page, pager=visit.pager(page), mail_words=MAIL_WORDS)


@pages.page("/users/add", ADMINISTER)
def adding(params: Annotated[Params, Query()], visit: Visit = VISIT) -> Response:
    """The form that invites somebody."""
    return visit.confirmation(_inviting(), values={"role": "viewer"})


@pages.act("/users/add", ADMINISTER)
def add(visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Add a user, and show the link by which they set their password; a second one could not be shown it."""
    try:
        invited = invite_user(
            visit.app,
            text_of(form, "email") or "",
            text_of(form, "role") or "",
            os_user=text_of(form, "os_user"),
            actor=visit.actor,
            reason=text_of(form, "reason"),
        )
    except Forbidden:
        raise
    except Refused as refused:
        return visit.confirmation(_inviting(), refused=refused, values=dict(form))
    email = invited.view["email"]
    return _link_shown(visit, email, invited.link, f"{email} is added", another="/users/add")


@pages.page("/users/{email}", ADMINISTER)
def user(email: str, params: Annotated[ListParams, Query()], visit: Visit = VISIT) -> Response:
    """One user, where they are signed in, and their tokens."""
    shown = show_user(visit.app, email, actor=visit.actor)
    tokens = tokens_page(visit.app, email, limit=params.limit, after=params.after, actor=visit.actor)
    return visit.page(
        "user.html",
        user=shown,
        at=_at(shown["email"]),
        sessions=sessions_page(visit.app, email, limit=MOST_SESSIONS, actor=visit.actor).items,
        tokens=tokens.items,
        pager=visit.pager(tokens),
        mail_words=MAIL_WORDS,
    )


def _asks(path: str, ask: Callable[[Visit, str], Confirmation]) -> None:
    """Add the page that asks before the act at that path."""

    def page(email: str, visit: Visit = VISIT) -> Response:
        shown = show_user(visit.app, email, actor=visit.actor)
        return visit.confirmation(ask(visit, email), values=shown)

    pages.page(f"/users/{{email}}/{path}", ADMINISTER)(page)


def _act(
    visit: Visit,
    form: FormData,
    ask: Callable[[Visit, str], Confirmation],
    done: str,
    operation: Callable[..., object],
    email: str,
    *arguments: object,
    **terms: object,
) -> Response:
    """Do an operation on a user, and go back to their page; after a refusal the question again."""
    try:
        operation(visit.app, email, *arguments, **terms, actor=visit.actor, reason=text_of(form, "reason"))
    except Forbidden:
        raise
    except Refused as refused:
        return visit.confirmation(ask(visit, email), refused=refused, values=dict(form))
    return visit.go(_at(email), done=done)


def _ask_role(visit: Visit, email: str) -> Confirmation:
    return Confirmation(
        f"Change the role of {email}?",
        "Change the role",
        _at(email),
        warning="Their next request has the new role. A token never allows more than its user.",
        body="user_role.html",
    )


_asks("role", _ask_role)


@pages.act("/users/{email}/role", ADMINISTER)
def role(email: str, visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Give a user another role."""
    login = text_of(form, "os_user") or "" if "os_user" in form else None
    wanted = text_of(form, "role") or ""
    return _act(visit, form, _ask_role, "user_role", set_role, email, wanted, os_user=login)


def _ask_disable(visit: Visit, email: str) -> Confirmation:
    ending = sessions_page(visit.app, email, limit=MOST_SESSIONS, actor=visit.actor).items
    tokens = tokens_page(visit.app, email, limit=1_000, actor=visit.actor).items
    return Confirmation(
        f"Disable {email}?",
        "Disable",
        _at(email),
        facts=[
            ("Sessions that end", len(ending)),
            ("Tokens that end", sum(token["status"] == "active" for token in tokens)),
        ],
        warning="They may do nothing from the next request on. Tokens do not come back when they are enabled.",
        danger=True,
    )


_asks("disable", _ask_disable)


@pages.act("/users/{email}/disable", ADMINISTER)
def disable(email: str, visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Disable a user: they may do nothing from then on."""
    return _act(visit, form, _ask_disable, "user_disabled", disable_user, email)


def _ask_enable(visit: Visit, email: str) -> Confirmation:
    return Confirmation(f"Enable {email}?", "Enable", _at(email))


_asks("enable", _ask_enable)


@pages.act("/users/{email}/enable", ADMINISTER)
def enable(email: str, visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Let a disabled user act again."""
    return _act(visit, form, _ask_enable, "user_enabled", enable_user, email)


def _ask_mail(visit: Visit, email: str) -> Confirmation:
    return Confirmation(f"Which mail of runs does {email} get?", "Keep", _at(email), body="user_mail.html")


_asks("mail", _ask_mail)


@pages.act("/users/{email}/mail", ADMINISTER)
def mail(email: str, visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Say which mail of runs a user gets."""
    wanted = text_of(form, "mail") or ""
    return _act(visit, form, _ask_mail, "user_mail", set_mail, email, wanted)


def _ask_end_all(visit: Visit, email: str) -> Confirmation:
    return Confirmation(
        f"End all sessions of {email}?",
        "End all sessions",
        _at(email),
        warning="Whoever uses them has to sign in again at once. Tokens stay.",
        danger=True,
    )


_asks("sessions/end", _ask_end_all)


@pages.act("/users/{email}/sessions/end", ADMINISTER)
def end_all(email: str, visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """End all sessions of a user."""
    return _act(visit, form, _ask_end_all, "user_sessions", end_sessions, email)


@pages.page("/users/{email}/sessions/{session_id}/end", ADMINISTER)
def ask_end(email: str, session_id: int, visit: Visit = VISIT) -> Response:
    """Whether a session is to end."""
    return visit.confirmation(_ending(email, session_id, facts_of_session(visit, email, session_id)))


@pages.act("/users/{email}/sessions/{session_id}/end", ADMINISTER)
def end(email: str, session_id: int, visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """End a session of a user."""
    return _act(
        visit,
        form,
        lambda visit, email: _ending(email, session_id),
        "user_session",
        end_session,
        email,
        session_id,
    )


def _ending(email: str, session_id: int, facts: Pairs = ()) -> Confirmation:
    return Confirmation(
        f"End session {session_id} of {email}?",
        "End session",
        _at(email),
        facts=facts,
        warning="Whoever uses it has to sign in again at once.",
        danger=True,
    )


def _ask_link(visit: Visit, email: str) -> Confirmation:
    return Confirmation(
        f"Make a link by which {email} sets a password?",
        "Make the link",
        _at(email),
        warning="It is shown once. Whoever opens it sets the password: hand it to nobody else.",
    )


_asks("link", _ask_link)


@pages.act("/users/{email}/link", ADMINISTER)
def link(email: str, visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Make a link by which a user sets their password, and show it this once."""
    try:
        made = make_password_link(visit.app, email, actor=visit.actor, reason=text_of(form, "reason"))
    except Forbidden:
        raise
    except Refused as refused:
        return visit.confirmation(_ask_link(visit, email), refused=refused, values=dict(form))
    return _link_shown(visit, email, made, f"A link for {email}")


def _link_shown(visit: Visit, email: str, link: str, title: str, another: str | None = None) -> Response:
    told = (
        f"Pass this link on yourself, it is not mailed: {email} sets a password by it. It is good once, for one hour,"
        " and not shown again. Where it is lost or too old, make another by One-time link on the page of the user."
    )
    return visit.page(
        "shown_once.html", title=title, told=told, secret=link, back=_at(email), another=another
    )


def _ask_token(visit: Visit, email: str) -> Confirmation:
    return Confirmation(f"Make a token for {email}?", "Make the token", _at(email), body="user_token.html")


@pages.page("/users/{email}/tokens/add", ADMINISTER)
def ask_token(email: str, visit: Visit = VISIT) -> Response:
    """The form that makes a token."""
    show_user(visit.app, email, actor=visit.actor)
    return visit.confirmation(_ask_token(visit, email))


@pages.act("/users/{email}/tokens/add", ADMINISTER)
def token(email: str, visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """Make a token, and show it this once."""
    terms = {name: text_of(form, name) for name in ("name", "role", "expires", "reason")}
    try:
        made = make_token(visit.app, email, actor=visit.actor, **terms)
    except Forbidden:
        raise
    except Refused as refused:
        return visit.confirmation(_ask_token(visit, email), refused=refused, values=dict(form))
    told = (
        "It is kept nowhere and not shown again. Programs send it in the header Authorization: Bearer TOKEN"
        " to the API, which is at /api/v1 below this console's address; /api/openapi.json there describes it."
    )
    title = f"Token {made.view['name']} of {email}"
    return visit.page(
        "shown_once.html", title=title, told=told, secret=made.text, back=_at(email), another=None
    )


@pages.page("/users/{email}/tokens/{name:path}/revoke", ADMINISTER)
def ask_revoke(email: str, name: str, visit: Visit = VISIT) -> Response:
    """Whether a token is to end."""
    if name not in (token["name"] for token in list_tokens(visit.app, email, actor=visit.actor)):
        raise NotFound(f"{email} has no token {name!r}", field="name", remedy="Look at their tokens")
    return visit.confirmation(_revoking(email, name))


@pages.act("/users/{email}/tokens/{name:path}/revoke", ADMINISTER)
def revoke(email: str, name: str, visit: Visit = VISIT, form: FormData = FORM) -> Response:
    """End a token of a user."""
    return _act(
        visit, form, lambda visit, email: _revoking(email, name), "user_token", revoke_token, email, name
    )


def _revoking(email: str, name: str) -> Confirmation:
    return Confirmation(
        f"Revoke the token {name} of {email}?",
        "Revoke",
        _at(email),
        warning="What uses it is refused at once, for ever.",
        danger=True,
    )


def _inviting() -> Confirmation:
    return Confirmation(
        "Invite somebody",
        "Add the user",
        "/users",
        warning="You are shown a link to pass on, by which they set their password. It is good once, for one hour.",
        body="user_add.html",
    )


def _at(email: str) -> str:
    return f"/users/{quote(email, safe='@')}"
