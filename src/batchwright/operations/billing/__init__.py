"""Acts on billing data: import, look, edit, amend, explain, forecast, recalculate."""

from batchwright.operations.billing.service import BillingService

__all__ = ["BillingService"]
