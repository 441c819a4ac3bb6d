"""Inputs of the single-purpose training handlers."""

from __future__ import annotations

from typing import Any

from lorapod.wire.shapes.shape import Fields, Shape


def _failed(sent: Fields, answer: Fields) -> Fields:
    """Return the failure in the form of those handlers; `error` has all of it."""
    if "error" not in answer:
        return answer
    told: Fields = next((detail for detail in answer.get("details", ()) if "session_id" in detail), {})
    job_id = sent.get("internal_job_id", told.get("job_id"))
    return {
        "success": False,
        "error": " ".join(part for part in (answer["error"], answer.get("hint")) if part),
        "session_id": told.get("session_id"),
        "job_id": str(job_id) if isinstance(job_id, str | int) else None,
    }


def _any_of(*names: str) -> Any:
    def recognise(fields: Fields) -> bool:
        return "action" not in fields and any(name in fields for name in names)

    return recognise


FROM_SUPABASE = Shape(
    name="A training from Supabase to Supabase",
    summary="`dataset_config` or `upload_config`, with `config`.",
    type="train_from_supabase",
    recognise=_any_of("dataset_config", "upload_config"),
    answer=_failed,
)

FROM_URLS = Shape(
    name="A training on a zip",
    summary="`dataset_urls` or `internal_job_id`, with `config`.",
    type="train_from_urls",
    recognise=_any_of("dataset_urls", "internal_job_id", "callback_base_url"),
    answer=_failed,
)
