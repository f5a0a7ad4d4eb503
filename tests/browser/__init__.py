"""Tests of the seller's pages in a real browser."""
