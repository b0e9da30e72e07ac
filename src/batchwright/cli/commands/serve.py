"""`batchwright serve`: the HTTP API, and a worker beside it."""

from __future__ import annotations

from urllib.parse import urlsplit

import click
from sqlalchemy.exc import SQLAlchemyError

from batchwright.cli.exits import FAILED
from batchwright.cli.groups import Command
from batchwright.cli.metrics_port import expose, metrics_port_option
from batchwright.cli.output import say
from batchwright.cli.session import application, current_settings
from batchwright.cli.verbosity import Verbosity
from batchwright.config.logging import configure_logging
from batchwright.config.settings import Settings
from batchwright.engine.faults import reason_of
from batchwright.operations.access.first_administrator import first_administrator_code
from batchwright.operations.actor import Door
from batchwright.operations.app import Application

LOOPBACK = ("127.0.0.1", "::1", "localhost")


@click.command("serve", cls=Command, example="batchwright serve\nbatchwright serve --port 8080 --no-worker")
@click.option("--host", default="127.0.0.1", show_default=True, help="Listen on this address.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Listen on this port; 0 takes a free one and names it.",
)
@click.option("--no-worker", is_flag=True, help="Answer requests only; workers run elsewhere.")
@click.option(
    "--allow-http",
    is_flag=True,
    help="Listen beyond this machine though people come by http: their tokens can be read on the way.",
)
@metrics_port_option
@click.pass_obj
def serve(
    verbosity: Verbosity, host: str, port: int, no_worker: bool, allow_http: bool, metrics_port: int | None
) -> int:
    """Answer HTTP requests until SIGTERM or Ctrl-C, and have a worker beside it.

    The API is below /api/v1, its description at /api/openapi.json; /healthz says that the process is alive, /readyz
    that database, schema and a worker are there, /metrics gives figures for Prometheus. An embedded database that is
    missing is made. Listens on this machine alone unless --host says otherwise, and then only with a base_url of
    https, or with --allow-http.
    """
    configure_logging(verbosity.level + 1)
    settings = current_settings()
    _check_reach(settings, host, allow_http)
    # The web is heavy: only this command loads it.
    from batchwright.console import metrics, server, traffic

    try:
        listening = server.listen(host, port)
    except OSError as error:
        say(
            f"Cannot listen on {host} port {port}: {error.strerror}. Give another --host or --port.", err=True
        )
        return FAILED
    where = listening.getsockname()
    here = f"http://{f'[{where[0]}]' if ':' in where[0] else where[0]}:{where[1]}"
    with listening, application(Door.API, here if host in LOOPBACK else None) as app:
        if app.database.is_sqlite and not app.database.exists():
            app.database.upgrade()
        app.database.require()
        shared = traffic.Traffic(app)
        if metrics_port is not None:
            expose(metrics.registry_of(app, shared), metrics_port)
        say(f"Serving {app.database.display_url} at {here}", err=True)
        _tell_where_links_lead(app, settings, here)
        _tell_of_first_administrator(app, here)
        code = server.serve(
            app,
            listening,
            host=host,
            worker=not no_worker,
            proxies=app.settings.proxies,
            traffic=shared,
        )
    say("Stopped.", err=True)
    return code


def _tell_where_links_lead(app: Application, settings: Settings, here: str) -> None:
    """Behind a proxy they lead to the proxy; on the machine itself to a port that should be this one."""
    base = urlsplit(settings.base_url)
    if base.scheme == "http" and base.hostname in LOOPBACK and (base.port or 80) != urlsplit(here).port:
        whose = " of other commands and workers" if app.settings.base_url == here else ""
        say(
            f"Links in mails and invitations{whose} lead to {settings.base_url}, where this does not listen:"
            f" set BATCHWRIGHT_BASE_URL={here}, for workers too.",
            err=True,
        )


def _tell_of_first_administrator(app: Application, here: str) -> None:
    try:
        code = first_administrator_code(app)
    except (SQLAlchemyError, OSError) as error:
        say(f"No link for a first administrator could be made: {reason_of(error)}.", err=True)
        return
    if code is not None:
        base = app.settings.console_url or here
        say(
            "There is no user yet. Whoever opens this link within the hour becomes the first administrator:",
            err=True,
        )
        say(f"{base.rstrip('/')}/first-administrator?code={code}", err=True)


def _check_reach(settings: Settings, host: str, allow_http: bool) -> None:
    if host in LOOPBACK or allow_http or settings.base_url.startswith("https:"):
        return
    raise click.UsageError(
        f"{host} is reached from other machines, and the setting base_url, {settings.base_url}, is not https:"
        " tokens could be read on the way. Put a proxy with https in front and set base_url, or give --allow-http."
    )
