"""Tests of the mails that runs send."""
