"""Billing as other programs call it, under the names of Conga's API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine.errors import Refused
from operations.app import Application, default_actor, default_application
from operations.runs import drive_run, submit_run
from operations.views import View

DRAFT = "draft-usage-rating"


class BillingService:
    """Drafts of usage inputs (Conga: `BillingService.draftPendingUsageInput`).

    Unlike the job it takes Rated inputs, too; they keep their status. Without `app` it works with the application
    that the settings describe, made at the first call. Every method returns the JSON of its run.
    """

    def __init__(self, app: Application | None = None) -> None:
        self._given = app

    def draft_pending_usage_input(
        self, usage_input_ids: Iterable[str] | None = None, process_synchronously: bool | None = None
    ) -> View:
        """Draft rate all usage inputs, or those of these ids.

        Without `process_synchronously` in batch mode, and the actor gets a mail at the end. With it, either way,
        the actor gets none: True drives the run here (at most 1,000 inputs) and returns it with its `outcomes`,
        False leaves it to `runs resume`. Refused without ids.
        """
        if usage_input_ids is None:
            if process_synchronously is not None:
                raise Refused(
                    "process_synchronously was given without usage inputs",
                    field="process_synchronously",
                    remedy="Name the usage inputs, or leave it out: all of them are rated in batch mode",
                )
            return self._submit({})
        parameters = {"usage_input_ids": usage_input_ids}
        run = self._submit(
            parameters, sync=bool(process_synchronously), mail_actor=process_synchronously is None
        )
        return drive_run(self._app, run["run_id"]) if process_synchronously else run

    def draft_pending_usage_input_related_to_asset_line_items(self, ids: Iterable[str]) -> View:
        """Draft rate all usage inputs of these asset line items in batch mode; the actor gets a mail at the end."""
        return self._submit({"asset_line_item_ids": ids})

    @property
    def _app(self) -> Application:
        return self._given or default_application()

    def _submit(self, parameters: dict[str, Any], *, sync: bool = False, mail_actor: bool = True) -> View:
        return submit_run(
            self._app,
            DRAFT,
            {**parameters, "include_rated": True},
            actor=default_actor(self._app.settings),
            mode="sync" if sync else "batch",
            mail_actor=mail_actor,
            trigger="python",
        )
