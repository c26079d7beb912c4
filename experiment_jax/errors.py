"""The errors for what a person typed or gave as data, and what a signal that asks to stop raises."""

import signal


class UserError(Exception):
    """Something a person typed cannot be done.

    Its message is one line: what is wrong, then what to type instead. The entry scripts print that line and leave with
    exit status 2; in a notebook it is an ordinary exception.
    """

    def __init__(self, message: str) -> None:
        # Names and values in a message are what somebody typed: line breaks and control characters show as escapes.
        super().__init__("".join(c if c.isprintable() else repr(c)[1:-1] for c in message))


class Unwritable(UserError):
    """The system refuses to write a file: the disk is full, or the folder may only be read."""


class Busy(UserError):
    """Another process writes into the same folder."""


class Stopped(Exception):
    """Training was asked to stop; the state is saved, and whoever trains the same run again resumes it.

    Attributes:
        status: with which a command leaves: 128 + the signal's number, as if the signal had ended it.
    """

    def __init__(self, message: str, number: int = signal.SIGTERM) -> None:
        super().__init__(message)
        self.status = 128 + number
