"""The wait for artifacts that are still being uploaded when a training has ended."""

from __future__ import annotations

import asyncio

from lorapod.storage.mirror.ledger import uploads_of
from lorapod.storage.mirror.mirrors import Mirrors
from lorapod.thread_pools import WAITS
from lorapod.workspace import Workspace

#: Seconds between two looks; another worker may be the one that uploads.
POLL_S = 0.25


async def wait_for_uploads(
    process_id: str, *, mirrors: Mirrors, workspace: Workspace, grace_s: float
) -> list[str]:
    """Wait until everything is uploaded, at most `grace_s`; return what is missing, one sentence each.

    A serverless worker is stopped soon after its last job, and would leave the rest to another.
    """
    try:
        async with asyncio.timeout(grace_s):
            while not await WAITS.run(mirrors.finished, process_id):  # noqa: ASYNC110 - may be another worker's news
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        late = [f"Not everything was uploaded within {grace_s:g} s; a worker of this endpoint continues."]
    else:
        late = []
    uploads = await WAITS.run(uploads_of, process_id, workspace)
    if uploads is None:
        return late
    return late + [
        f"Upload to {failure.target}: {failure.key or 'nothing'} could {'not ' if failure.key else ''}be sent. "
        f"{failure.error}"
        for failure in uploads.failed
    ]
