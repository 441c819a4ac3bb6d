from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings
from tests.servers.rabbitmq import RunningRabbitMQ, running_rabbitmq
from tests.servers.redis_server import RunningRedis, running_redis
from tests.servers.s3_server import RunningS3, running_s3

# Time is pytest-timeout's business: a deadline an example fails at random on a busy machine.
settings.register_profile("lorapod", deadline=None)
settings.load_profile("lorapod")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RunningRedis]:
    """One server for all tests that only need one; those that harm it start their own."""
    with running_redis() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[RunningS3]:
    """One server for all tests that only need one; those that harm it start their own."""
    with running_s3() as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq_server() -> Iterator[RunningRabbitMQ]:
    """One broker for all tests that only need one; those that harm it start their own."""
    with running_rabbitmq() as server:
        yield server
