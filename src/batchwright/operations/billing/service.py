"""Billing as other programs call it, under the names of Conga's API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from batchwright.engine.errors import Refused
from batchwright.operations.access.permissions import permit, right_to_run
from batchwright.operations.app import Application, check_application, default_application
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.submitting import Submitted, submit_run
from batchwright.operations.views import View

DRAFT, RATING, UNRATING = "draft-usage-rating", "usage-rating", "usage-unrating"


class BillingService:
    """Drafts, ratings and unratings of usage inputs, under the names of Conga's `BillingService`.

    Unlike the job a draft takes Rated inputs, too; they keep their status. Without `app` it works with the application
    that the settings describe, made at the first call. Every method returns the JSON of its run.
    """

    def __init__(self, app: Application | None = None) -> None:
        check_application(app)
        self._given = app

    def draft_pending_usage_input(
        self, usage_input_ids: Iterable[str] | None = None, process_synchronously: bool | None = None
    ) -> View:
        """Draft rate all usage inputs, or those of these ids.

        Without `process_synchronously` in batch mode, and the actor gets a mail at the end. With it, either way,
        the actor gets none: True drives the run here (at most 1,000 inputs) and returns it with its `outcomes`,
        False leaves it to a worker or `runs resume`. Refused without ids.
        """
        return self._inputs(DRAFT, usage_input_ids, process_synchronously, include_rated=True)

    def draft_pending_usage_input_related_to_asset_line_items(self, ids: Iterable[str]) -> View:
        """Draft rate all usage inputs of these asset line items in batch mode; the actor gets a mail at the end."""
        named = self._named(DRAFT, "asset_line_item_ids", ids)
        return self._submit(DRAFT, {**named, "include_rated": True}).view

    def process_pending_usage_input(
        self, usage_input_ids: Iterable[str] | None = None, process_synchronously: bool | None = None
    ) -> View:
        """Rate all Loaded usage inputs, or those of these ids (Conga: `processPendingUsageInput`).

        `process_synchronously` is as in `draft_pending_usage_input`.
        """
        return self._inputs(RATING, usage_input_ids, process_synchronously)

    def process_rated_usage_input(self, ids: Iterable[str]) -> View:
        """Unrate these usage inputs in batch mode (Conga: `processRatedUsageInput`); the actor gets a mail."""
        return self._submit(UNRATING, self._named(UNRATING, "usage_input_ids", ids)).view

    @property
    def _app(self) -> Application:
        return self._given or default_application()

    def _inputs(
        self, job: str, ids: Iterable[str] | None, process_synchronously: bool | None, **more: Any
    ) -> View:
        if not isinstance(process_synchronously, bool | None):
            raise Refused(
                f"process_synchronously cannot be {process_synchronously!r}",
                field="process_synchronously",
                remedy="Give True or False, or leave it out",
            )
        if ids is None:
            if process_synchronously is not None:
                permit(self._app, None, right_to_run(self._app, job), "run.submit")
                raise Refused(
                    "process_synchronously was given without usage inputs",
                    field="process_synchronously",
                    remedy="Name the usage inputs, or leave it out: all of them are rated in batch mode",
                )
            return self._submit(job, more).view
        parameters = {"usage_input_ids": ids, **more}
        submitted = self._submit(
            job, parameters, sync=bool(process_synchronously), mail_actor=process_synchronously is None
        )
        return drive_submitted(self._app, submitted, mail=False) if process_synchronously else submitted.view

    def _named(self, job: str, field: str, ids: Iterable[str]) -> dict[str, Any]:
        """The one parameter. For the job none are everything, which a caller whose ids came out empty does not mean."""
        given = ids if isinstance(ids, str) else list(ids or ())
        if not given:
            permit(self._app, None, right_to_run(self._app, job), "run.submit")
            raise Refused(f"no {field.replace('_', ' ')} were given", field=field, remedy="Name at least one")
        return {field: given}

    def _submit(
        self, job: str, parameters: dict[str, Any], *, sync: bool = False, mail_actor: bool = True
    ) -> Submitted:
        return submit_run(
            self._app,
            job,
            parameters,
            actor=self._app.default_actor(),
            mode="sync" if sync else "batch",
            mail_actor=mail_actor,
            trigger="python",
        )
