"""Why an experiment gave nothing."""


class SkippedError(Exception):
    """Something that the experiment is about is not there; the message says what."""


class FailedError(Exception):
    """A server or a command did not do what it should; the message says which."""
