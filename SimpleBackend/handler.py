"""The single-purpose handler: runs one training to its end and leaves its files on the volume or uploads to Supabase.

It accepts two inputs (`docs/howto/single-purpose-handler.md`) and also every action of the worker:

    {"config": …, "dataset_urls": […], "internal_job_id": …, "callback_base_url": …, "callback_token": …}
    {"config": …, "dataset_config": {…}, "upload_config": {…}}
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from lorapod.serverless import job_of, serve, start_worker
from lorapod.settings import Settings
from lorapod.wire.envelope import with_object
from lorapod.wire.shapes.table import as_training
from lorapod.worker import Worker


def settings() -> Settings:
    """Return the settings of this handler: its volume is the workspace, and it shows the trainer's output."""
    found = Settings()
    changes: dict[str, Any] = {}
    if found.network_volume_path is not None:
        changes["workspace_path"] = found.network_volume_path
    if "stream_trainer_log" not in found.model_fields_set:
        changes["stream_trainer_log"] = True
    return found.model_copy(update=changes)


@cache
def worker() -> Worker:
    """Return this process's worker, built and started at the first call."""
    return start_worker(settings())


async def async_handler(event: Any) -> dict[str, Any]:
    """Answer one RunPod job at the end of its training.

    Args:
        event: `{"id": …, "input": {…}}`.

    Returns:
        `{"success": true, …}`, or `{"success": false, "error": …}`, for which the SDK marks the job FAILED.
    """
    event = with_object(event)
    members = event if isinstance(event, Mapping) else {}
    job = job_of(event, worker().services.settings)
    # Keep the other members of the event, for example `s3Config`.
    return await worker().answer({**members, "input": as_training(members.get("input"))}, job)


def handler(event: Any) -> dict[str, Any]:
    """Answer like `async_handler`, for callers without an event loop; block until the training has ended."""
    with ThreadPoolExecutor(1) as own_thread:
        return own_thread.submit(asyncio.run, async_handler(event)).result()


def main() -> None:
    """Serve RunPod jobs until the platform stops the worker."""
    serve(async_handler, worker, settings())


if __name__ == "__main__":
    main()
