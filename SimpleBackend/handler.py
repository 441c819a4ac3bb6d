"""The single-purpose handler: one training to its end, everything it made left on the volume or sent to Supabase.

It takes two inputs (`docs/howto/single-purpose-handler.md`), and every action of the worker besides:

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
from lorapod.wire.shapes.table import as_training
from lorapod.worker import Worker


def settings() -> Settings:
    """The settings of this kind of handler: its volume is the workspace, and it shows what the trainer says."""
    found = Settings()
    changes: dict[str, Any] = {}
    if found.network_volume_path is not None:
        changes["workspace_path"] = found.network_volume_path
    if "stream_trainer_log" not in found.model_fields_set:
        changes["stream_trainer_log"] = True
    return found.model_copy(update=changes)


@cache
def worker() -> Worker:
    """This process's worker, built and started at the first call."""
    return start_worker(settings())


async def async_handler(event: Any) -> dict[str, Any]:
    """Answer one RunPod job when its training has ended.

    Args:
        event: `{"id": …, "input": {…}}`.

    Returns:
        `{"success": true, …}`, or `{"success": false, "error": …}`, whose job the SDK marks FAILED.
    """
    members = event if isinstance(event, Mapping) else {}
    job = job_of(event, worker().services.settings)
    # All members of the event count, not only `input`: `s3Config` is one.
    return await worker().answer({**members, "input": as_training(members.get("input"))}, job)


def handler(event: Any) -> dict[str, Any]:
    """`async_handler` for callers without an event loop; blocks until the training has ended, whatever loop runs."""
    with ThreadPoolExecutor(1) as own_thread:
        return own_thread.submit(asyncio.run, async_handler(event)).result()


def main() -> None:
    """Serve RunPod jobs until the platform stops the worker."""
    serve(async_handler, worker, settings())


if __name__ == "__main__":
    main()
