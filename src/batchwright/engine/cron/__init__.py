"""Cron: Salesforce's and Quartz's expressions, the next fire through clock changes, and words. An island.

It knows no database, clock, logger or scheduler, and imports nothing of ours.
"""

from batchwright.engine.cron.errors import CronError
from batchwright.engine.cron.expression import CronExpression
from batchwright.engine.cron.next_fire import instant_of

__all__ = ["CronError", "CronExpression", "instant_of"]
