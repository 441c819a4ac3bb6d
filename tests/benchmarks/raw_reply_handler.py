"""Replies of a wished size, and nothing else."""

from typing import Any

import runpod


async def handler(event: dict[str, Any]) -> dict[str, str]:
    return {"data": "x" * event["input"]["size"]}


runpod.serverless.start({"handler": handler, "concurrency_modifier": lambda _: 8})
