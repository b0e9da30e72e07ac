"""The option ``--metrics-port``: an address of its own for the figures of a process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

metrics_port_option = click.option(
    "--metrics-port",
    type=click.IntRange(1, 65535),
    help="Give figures for Prometheus on this port, too, to this machine alone.",
)


def expose(registry: CollectorRegistry, port: int) -> None:
    """Answer with the figures there until the process ends. Raises `click.UsageError` where the port is taken."""
    from prometheus_client import start_http_server

    try:
        start_http_server(port, addr="127.0.0.1", registry=registry)
    except OSError as error:
        raise click.UsageError(
            f"cannot listen on port {port}: {error.strerror}. Give another --metrics-port."
        ) from error
