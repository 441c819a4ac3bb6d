"""Fields of every request that starts a process."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, SecretStr, StringConstraints

WaitForEnd = Annotated[
    bool | None,
    Field(description="Keep the RunPod job open until the end; the default on a serverless worker."),
]

IdempotencyKey = Annotated[
    Annotated[str, StringConstraints(min_length=1, max_length=200)] | None,
    Field(description="Two requests with the same key start one process."),
]

CallerJobId = Annotated[
    Annotated[str, StringConstraints(max_length=200)] | None,
    Field(description="Your own id of the job, returned in answers and events."),
]

CallbackUrl = Annotated[
    Annotated[str, StringConstraints(min_length=1)] | None,
    Field(description="URL to which the events of this process are POSTed, one JSON object each."),
]

CallbackToken = Annotated[
    SecretStr | None,
    Field(description="Sent to `callback_url` as a bearer token. It is stored only encrypted."),
]
