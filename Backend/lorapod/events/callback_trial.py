"""Look at a callback's URL before the training starts, with a HEAD request: an event is only POSTed if it happened."""

from __future__ import annotations

import asyncio
from concurrent.futures import TimeoutError as FutureTimeout

import aiohttp
from pydantic import SecretStr

from lorapod.errors import UnsafeUrl
from lorapod.safety.http_answers import reason
from lorapod.safety.urls import check_url, checked_connector, shown_url
from lorapod.thread_pools import ThreadPool

#: Most seconds that the look delays a start.
TRIAL_S = 5.0

#: The statuses that a receiver would hardly answer if events could reach it.
_DOUBTFUL = {
    401: "the receiver does not accept callback_token",
    403: "the receiver does not accept callback_token",
    404: "the receiver does not know this URL, unless it knows it for POST only",
    410: "the receiver does not know this URL any more",
}

_TRIALS = ThreadPool("callback-trials", size=4)


def try_callback(url: str, token: SecretStr | None, *, allow_private: bool) -> list[str]:
    """Return warnings about a callback's URL; blocks for `TRIAL_S` at most.

    Args:
        url: as the request names it.
        token: sent as a bearer token.
        allow_private: whether servers in private networks may be contacted.

    Raises:
        UnsafeUrl: its host is not on the public internet, so no event could ever be sent there.
    """
    look = _TRIALS.submit(lambda: asyncio.run(_look(url, token, allow_private=allow_private)))
    try:
        problem = look.result(TRIAL_S)
    except FutureTimeout:
        problem = "the server does not answer in time"
    if problem is None:
        return []
    return [f"callback_url: events may not arrive at {shown_url(url)}: {problem}."]


async def _look(url: str, token: SecretStr | None, *, allow_private: bool) -> str | None:
    headers = {} if token is None else {"Authorization": f"Bearer {token.get_secret_value()}"}
    try:
        async with (
            aiohttp.ClientSession(
                connector=checked_connector(allow_private=allow_private),
                timeout=aiohttp.ClientTimeout(total=TRIAL_S),
                trust_env=False,
            ) as session,
            session.head(
                check_url(url, allow_private=allow_private), headers=headers, allow_redirects=False
            ) as answer,
        ):
            status = answer.status
    except UnsafeUrl:
        raise
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return reason(error)
    if status in _DOUBTFUL:
        return f"{_DOUBTFUL[status]} (it answers {status})"
    return f"the receiver answers {status}" if status >= 500 and status != 501 else None
