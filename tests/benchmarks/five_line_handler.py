import runpod


async def handler(_event: object) -> dict[str, bool]:
    return {"pong": True}


runpod.serverless.start({"handler": handler, "concurrency_modifier": lambda _: 8})
