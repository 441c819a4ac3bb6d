from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.servers.platform import KEY, PlatformStandIn, standing_in

from lorapod.platform.client import RunpodPlatform
from lorapod.platform.transport import PlatformRetries


@pytest.fixture
def account() -> Iterator[PlatformStandIn]:
    with standing_in() as account:
        yield account


@pytest.fixture
def platform(account: PlatformStandIn) -> Iterator[RunpodPlatform]:
    retries = PlatformRetries(attempts=3, first_wait_s=0.001, longest_wait_s=0.01)
    with RunpodPlatform(KEY, url=account.url, retries=retries) as platform:
        yield platform
