"""Open the event sinks that the settings ask for."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

from pydantic import SecretStr

from lorapod.events.callback import CallbackSink
from lorapod.events.log import LogSink
from lorapod.events.port import EventSink, SinkUnavailable
from lorapod.events.runpod import RunPodSink
from lorapod.settings import Settings

if TYPE_CHECKING:
    from lorapod.events.rabbitmq import RabbitMQSink

logger = logging.getLogger(__name__)

#: The attributes of a sink.
_SINK = ("name", "durable", "patience_s", "wants", "deliver", "close")


def open_sinks(settings: Settings, updates: RunPodSink) -> Sequence[EventSink]:
    """Return the sinks that the settings ask for. Only `REQUIRE_EVENTS` makes this connect to the broker.

    `updates` is one of them; open RunPod jobs attach to it.

    Raises:
        ValueError: `REQUIRE_EVENTS` is set, but there is no `RABBITMQ_URL`, or the broker refuses it; `NOTIFY_URLS` has
            a URL that is not known; or `EVENT_SINKS` names an object that is not a sink.
    """
    sinks: list[EventSink] = [
        LogSink(),
        updates,
        CallbackSink(
            secret=settings.callback_secret,
            allow_private=settings.allow_private_urls,
            patience_s=settings.callback_patience_s,
        ),
    ]
    if settings.rabbitmq_url is not None:
        # Imported only if it is used: the import takes a large part of a cold start.
        from lorapod.events.rabbitmq import LoginRefused, RabbitMQSink

        broker = RabbitMQSink(settings.rabbitmq_url, settings.rabbitmq_exchange)
        sinks.append(broker)
        if settings.require_events:
            try:
                with ThreadPoolExecutor(1) as thread:
                    # The caller may run on an event loop of its own.
                    thread.submit(asyncio.run, _check_once(broker)).result()
            except LoginRefused as error:
                raise ValueError(f"REQUIRE_EVENTS is set, but {error}: see RABBITMQ_URL.") from None
            except SinkUnavailable as error:
                # It may come back; meanwhile the outbox keeps all events.
                logger.warning("broker cannot take events yet", extra={"reason": str(error)})
    elif settings.require_events:
        raise ValueError(
            "REQUIRE_EVENTS is set, but there is no RABBITMQ_URL: set it, or unset REQUIRE_EVENTS."
        )
    else:
        logger.warning("RABBITMQ_URL is not set: events go to callbacks and to this log only")
    sinks += _notify_sinks(settings)
    sinks += [_plug_in(place) for place in (settings.event_sinks or "").split()]
    if twice := [name for name, count in Counter(sink.name for sink in sinks).items() if count > 1]:
        raise ValueError(f"EVENT_SINKS: there are two sinks named {twice[0]!r}; give each its own name.")
    return sinks


def _notify_sinks(settings: Settings) -> Sequence[EventSink]:
    """Return a sink for each service, so that one that is away holds up no other."""
    if settings.notify_urls is None:
        return []
    # Imported only if it is used: the import takes a large part of a cold start.
    from lorapod.events.notify import NotifySink

    urls = settings.notify_urls.get_secret_value().split()
    return [
        NotifySink(SecretStr(url), settings.workspace_root, name=f"notify{number or ''}")
        for number, url in enumerate(urls)
    ]


async def _check_once(broker: RabbitMQSink) -> None:
    """Connect once, and close the connection."""
    try:
        await broker.check()
    finally:
        await broker.close()


def _plug_in(place: str) -> EventSink:
    """Return a sink of another package; `place` is `module:name`, which is called without arguments."""
    module, _, name = place.partition(":")
    try:
        sink = getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError) as error:
        raise ValueError(f"EVENT_SINKS: {place!r} cannot be found: {error}.") from error
    if missing := [part for part in _SINK if not hasattr(sink, part)]:
        raise ValueError(f"EVENT_SINKS: {place!r} is not an event sink: it has no {', '.join(missing)}.")
    return cast("EventSink", sink)
