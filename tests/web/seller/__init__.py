"""Tests of the seller's pages over HTTP: real database, far sides in the test's own process."""
