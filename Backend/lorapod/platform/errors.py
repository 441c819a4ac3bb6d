"""What RunPod's management API refused, and what to do.

```
PlatformError               status     a person can
├── KeyRefused              401        make a key, or correct it
├── AccessDenied            403        give the key the permission
├── NotOnPlatform           404        check the id
├── StateConflict           409        wait, then try again
├── RequestRefused          400, 422   correct the request; `problems` names each field
├── RateLimited             429        wait
├── PlatformFailed          5xx        try again later
├── PlatformUnreachable     none       check the network; try again
└── AnswerUnreadable        2xx        report it: the API answers something that this version does not know
```
"""

from __future__ import annotations

from collections.abc import Sequence


class PlatformError(Exception):
    """A request to RunPod's management API that had no success.

    Attributes:
        message: what happened, to what.
        hint: what to do next.
        problems: each problem of the request, in the API's words.
    """

    def __init__(self, message: str, *, hint: str = "", problems: Sequence[str] = ()) -> None:
        self.message = message
        self.hint = hint
        self.problems = tuple(problems)
        super().__init__(message)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class KeyRefused(PlatformError):
    """The API does not accept the key, or no key was given."""


class AccessDenied(PlatformError):
    """The key is valid, but may not do this."""


class NotOnPlatform(PlatformError):
    """There is no such endpoint, worker or volume in this account."""


class StateConflict(PlatformError):
    """The request does not fit the present state."""


class RequestRefused(PlatformError):
    """The API refuses the request's fields."""


class RateLimited(PlatformError):
    """The account sent too many requests."""


class PlatformFailed(PlatformError):
    """The API failed."""


class PlatformUnreachable(PlatformError):
    """No connection, or it broke off before the answer: the request may have had its effect."""


class AnswerUnreadable(PlatformError):
    """The answer is not what the API's specification says."""
