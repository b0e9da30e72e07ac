"""Tests of the batch framework on both databases."""
