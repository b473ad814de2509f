"""Errors of experiments that gave no result."""


class SkippedError(Exception):
    """Model or task set that is missing; the message names it."""


class FailedError(Exception):
    """Server or command that failed; the message names it."""
