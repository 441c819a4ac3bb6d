"""The error of the client for a job that the queue calls FAILED."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lorapod.client.errors import ConflictError, InvalidInputError, JobFailed, NotFoundError

_BY_CODE: dict[str | None, type[JobFailed]] = {
    "invalid_input": InvalidInputError,
    "unknown_type": InvalidInputError,
    "not_found": NotFoundError,
    "conflict": ConflictError,
}


def job_failed(job_id: str, error: Any, output: Any) -> JobFailed:
    """Return the error of a FAILED job.

    Args:
        job_id: the queue's id of the job.
        error: the job's `error`: a sentence of the worker, or the JSON text that the RunPod SDK makes of an exception.
        output: the job's `output`: `{code, hint, details}`, which the SDK leaves when it removes `error`.
    """
    fields = output if isinstance(output, Mapping) else {}
    code = fields.get("code")
    return _BY_CODE.get(code, JobFailed)(
        _sentence(error) or "The job failed without a reason.",
        job_id=job_id,
        code=code,
        hint=fields.get("hint") or "",
        details=fields.get("details") or (),
    )


def _sentence(error: Any) -> str:
    if isinstance(error, str):
        try:
            error = json.loads(error)
        except ValueError:
            return str(error)
    if isinstance(error, Mapping):
        error = error.get("error_message") or error.get("message") or error.get("error") or ""
    return str(error)
