"""The tests of Batchwright; one folder per part of the house."""
