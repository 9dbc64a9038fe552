"""The exceptions of the engine.

Each message is one sentence or two: the value that is wrong, and what to do. It is shown to the
editor as it stands.
"""


class InbetweenError(Exception):
    """Something that the person can do something about; the base of all the others."""


class InvalidValueError(InbetweenError):
    """A value outside what is allowed: a setting, a key frame, a size."""


class NotFoundError(InbetweenError):
    """A file, a session, a key frame or a look that does not exist."""


class UnreadableMediaError(InbetweenError):
    """A file that exists but cannot be used as what it should be."""


class ModelUnavailableError(InbetweenError):
    """A model that is missing, incomplete or of the wrong kind."""


class OutOfMemoryError(InbetweenError):
    """The device has too little memory for this size."""


class StorageError(InbetweenError):
    """The disk is full or cannot be written."""


class CancelledError(InbetweenError):
    """The work was cancelled; what was finished is kept."""


class UnexpectedError(InbetweenError):
    """A fault of our own, told without its traceback, which is in the log."""
