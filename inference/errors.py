"""What can go wrong in `inference`, sorted by what the caller should do about it.

    InferenceError          never raised itself; catch it to catch all of these
      Unavailable           retry later, or configure it: a server is down, a model is not installed
      BadInput              tell the user or the chat model why; the same input will fail again
      Exhausted             a limit was hit (memory, time, size); stop

`str(error)` is one line that a user can read: what happened, why, and what to do. Foreign exceptions are translated
into these at the boundary and kept as `__cause__` for the log.
"""


class InferenceError(Exception):
    """The root. Its text is made one line, whatever it was built from."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))


class Unavailable(InferenceError):
    """Not reachable or not configured: retry later, or follow what the text says to configure it."""


class BadInput(InferenceError):
    """The input cannot be used, and will not be by trying again."""


class Exhausted(InferenceError):
    """A limit on memory, time or size was hit."""
