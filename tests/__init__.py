"""Tests tell a story in their name: laws before examples, examples before mocks."""
