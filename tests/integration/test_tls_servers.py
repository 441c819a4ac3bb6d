"""RabbitMQ and Redis over TLS, with a certificate that only these tests trust."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from pydantic import SecretStr
from tests.servers.certificate import made_certificate
from tests.servers.ports import await_listener, free_port
from tests.servers.rabbitmq import running_rabbitmq
from tests.servers.redis_server import RunningRedis

from lorapod.events.port import Parcel, SinkUnavailable
from lorapod.events.rabbitmq import RabbitMQSink
from lorapod.processes.store.port import StateStoreUnavailable
from lorapod.processes.store.redis_server import RedisServer
from lorapod.testing.events import sample_event


async def test_a_broker_over_tls_takes_events_if_its_certificate_can_be_trusted(tmp_path: Path) -> None:
    made, port = made_certificate(tmp_path), free_port()
    event = sample_event()
    parcel = Parcel(process_id=event.process_id, events=[event])
    more = (
        f"listeners.ssl.default = 127.0.0.1:{port}\nssl_options.cacertfile = {made.authority}\n"
        f"ssl_options.certfile = {made.certificate}\nssl_options.keyfile = {made.key}\n"
        "ssl_options.verify = verify_none\nssl_options.fail_if_no_peer_cert = false\n"
    )
    with running_rabbitmq(more=more):
        # A newer broker opens it a moment after the other one.
        await_listener(port)
        url = f"amqps://guest:guest@127.0.0.1:{port}/"
        sink = RabbitMQSink(SecretStr(f"{url}?cafile={quote(str(made.authority), safe='')}"), "events")
        assert await sink.deliver(parcel) == 1
        await sink.close()
        strict = RabbitMQSink(SecretStr(url), "events")
        with pytest.raises(SinkUnavailable, match="certificate"):
            await strict.deliver(parcel)
        await strict.close()


def test_redis_over_tls_answers_if_its_certificate_can_be_trusted(tmp_path: Path) -> None:
    made, port = made_certificate(tmp_path), free_port()
    tls = {
        "tls-port": port,
        "tls-cert-file": made.certificate,
        "tls-key-file": made.key,
        "tls-ca-cert-file": made.authority,
        "tls-auth-clients": "no",
    }
    server = RunningRedis(tmp_path, password="p@ss/w:rd", more=tls)
    url = f"rediss://:{quote('p@ss/w:rd', safe='')}@127.0.0.1:{port}/0"
    try:
        trusting = SecretStr(f"{url}?ssl_ca_certs={quote(str(made.authority), safe='')}")
        with closing(RedisServer(trusting, prefix="lorapod:", timeout_s=3, retries=0)) as client:
            assert client.call("PING") in {b"PONG", True}
        with (
            closing(RedisServer(SecretStr(url), prefix="lorapod:", timeout_s=3, retries=0)) as strict,
            pytest.raises(StateStoreUnavailable),
        ):
            strict.call("PING")
    finally:
        server.kill()
