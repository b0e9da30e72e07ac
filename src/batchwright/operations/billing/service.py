"""Billing as other programs call it, under the names of Conga's API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypedDict, Unpack

from batchwright.engine.errors import Refused
from batchwright.engine.submit import SYNC_LIMIT
from batchwright.operations.access.permissions import permit, right_to_run
from batchwright.operations.actor import Actor
from batchwright.operations.app import Application, check_application, default_application
from batchwright.operations.billing.selections import is_small
from batchwright.operations.runs.driving import drive_submitted
from batchwright.operations.runs.submitting import submit_run
from batchwright.operations.views import View

DRAFT, RATING, UNRATING = "draft-usage-rating", "usage-rating", "usage-unrating"
RESET, DELETION = "usage-input-reset", "usage-input-deletion"


class Others(TypedDict, total=False):
    """What names usage inputs in place of their ids, the assets that they are of or a selection; and a reason."""

    asset_line_item_ids: Iterable[str] | None
    selection_id: str | None
    reason: str | None


class BillingService:
    """Drafts, ratings and unratings of usage inputs, under the names of Conga's `BillingService`.

    Unlike the job a draft takes Rated inputs, too; they keep their status. Without `app` it works with the application
    that the settings describe, made at the first call; without `actor` as that one's. Every method returns the JSON of
    its run.
    """

    def __init__(self, app: Application | None = None, actor: Actor | None = None) -> None:
        check_application(app)
        self._given = app
        self._actor = actor

    def draft_pending_usage_input(
        self,
        usage_input_ids: Iterable[str] | None = None,
        process_synchronously: bool | None = None,
        **others: Unpack[Others],
    ) -> View:
        """Draft rate all usage inputs, or those that are named.

        Without `process_synchronously` in batch mode, and the actor gets a mail at the end. With it, either way,
        the actor gets none: True drives the run here (at most 1,000 inputs) and returns it with its `outcomes`,
        False leaves it to a worker or `runs resume`. Refused where nothing is named.
        """
        named = {"usage_input_ids": usage_input_ids, **others}
        return self._run(DRAFT, named, process_synchronously, include_rated=True)

    def draft_pending_usage_input_related_to_asset_line_items(self, ids: Iterable[str]) -> View:
        """Draft rate all usage inputs of these asset line items in batch mode; the actor gets a mail at the end."""
        named = self._refuse_none(DRAFT, "asset_line_item_ids", ids)
        return self._run(DRAFT, named, None, include_rated=True)

    def process_pending_usage_input(
        self,
        usage_input_ids: Iterable[str] | None = None,
        process_synchronously: bool | None = None,
        **others: Unpack[Others],
    ) -> View:
        """Rate all Loaded usage inputs, or those that are named (Conga: `processPendingUsageInput`).

        `process_synchronously` is as in `draft_pending_usage_input`.
        """
        return self._run(RATING, {"usage_input_ids": usage_input_ids, **others}, process_synchronously)

    def process_rated_usage_input(
        self,
        ids: Iterable[str] | None = None,
        process_synchronously: bool | None = None,
        **others: Unpack[Others],
    ) -> View:
        """Unrate the usage inputs that are named (Conga: `processRatedUsageInput`).

        `process_synchronously` is as in `draft_pending_usage_input`. Refused where nothing is named.
        """
        named = {"usage_input_ids": ids, **others}
        if others.get("asset_line_item_ids") is None and others.get("selection_id") is None:
            named |= self._refuse_none(UNRATING, "usage_input_ids", ids)
        return self._run(UNRATING, named, process_synchronously)

    def reset_usage_input(
        self,
        usage_input_ids: Iterable[str] | None = None,
        process_synchronously: bool | None = None,
        **others: Unpack[Others],
    ) -> View:
        """Set the usage inputs that are named and in Error back to Loaded, each with an outcome.

        Without `process_synchronously` up to 1,000 at once, more in batch mode, and the actor gets a mail at the end.
        """
        return self._change(RESET, {"usage_input_ids": usage_input_ids, **others}, process_synchronously)

    def delete_usage_input(
        self,
        usage_input_ids: Iterable[str] | None = None,
        process_synchronously: bool | None = None,
        **others: Unpack[Others],
    ) -> View:
        """Delete the usage inputs that are named and not Rated, each with an outcome.

        `process_synchronously` is as in `reset_usage_input`.
        """
        return self._change(DELETION, {"usage_input_ids": usage_input_ids, **others}, process_synchronously)

    @property
    def _app(self) -> Application:
        return self._given or default_application()

    def _change(self, job: str, named: dict[str, Any], process_synchronously: bool | None) -> View:
        if process_synchronously is None:
            permit(self._app, self._actor, right_to_run(self._app, job), "run.submit")
            if named["usage_input_ids"] is not None:
                ids = named["usage_input_ids"] = list(named["usage_input_ids"])
                process_synchronously = len(set(ids)) <= SYNC_LIMIT or None
            elif (selection_id := named.get("selection_id")) is not None:
                process_synchronously = is_small(self._app, selection_id) or None
        return self._run(job, named, process_synchronously)

    def _run(
        self, job: str, named: Mapping[str, Any], process_synchronously: bool | None, **more: Any
    ) -> View:
        app, here = self._app, process_synchronously
        if not isinstance(here, bool | None):
            raise Refused(
                f"process_synchronously cannot be {here!r}",
                field="process_synchronously",
                remedy="Give True or False, or leave it out",
            )
        reason = named.get("reason")
        given = {name: value for name, value in named.items() if value is not None and name != "reason"}
        if not given and here is not None:
            permit(app, self._actor, right_to_run(app, job), "run.submit")
            raise Refused(
                "process_synchronously was given without usage inputs",
                field="process_synchronously",
                remedy="Name the usage inputs, or leave it out: all of them are rated in batch mode",
            )
        submitted = submit_run(
            app,
            job,
            {**given, **more},
            actor=self._actor or app.default_actor(),
            mode="sync" if here else "batch",
            reason=reason,
            mail_actor=here is None,
            trigger="python" if self._actor is None else str(self._actor.door),
        )
        return drive_submitted(app, submitted, mail=False) if here else submitted.view

    def _refuse_none(self, job: str, field: str, ids: Iterable[str] | None) -> dict[str, Any]:
        """The one parameter. For the job none are everything, which a caller whose ids came out empty does not mean."""
        given = ids if isinstance(ids, str) else list(ids or ())
        if not given:
            permit(self._app, self._actor, right_to_run(self._app, job), "run.submit")
            raise Refused(f"no {field.replace('_', ' ')} were given", field=field, remedy="Name at least one")
        return {field: given}
