"""The choice of ways by which events travel."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

from lorapod.events.callback import CallbackSink
from lorapod.events.log import LogSink
from lorapod.events.port import EventSink, SinkUnavailable
from lorapod.events.runpod import RunPodSink
from lorapod.settings import Settings

if TYPE_CHECKING:
    from lorapod.events.rabbitmq import RabbitMQSink

logger = logging.getLogger(__name__)

#: What a sink has.
_SINK = ("name", "durable", "patience_s", "wants", "deliver", "close")


def open_sinks(settings: Settings, updates: RunPodSink) -> Sequence[EventSink]:
    """The sinks that the settings ask for; connects to nothing, but for the broker where `REQUIRE_EVENTS` is set.

    `updates` is one of them; jobs attach to it.

    Raises:
        ValueError: `REQUIRE_EVENTS` is set, and there is no `RABBITMQ_URL`, or the broker refuses it; or `EVENT_SINKS`
            names something that is no sink.
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
        # Imported where it is used: it takes a good part of a cold start.
        from lorapod.events.rabbitmq import LoginRefused, RabbitMQSink

        broker = RabbitMQSink(settings.rabbitmq_url, settings.rabbitmq_exchange)
        sinks.append(broker)
        if settings.require_events:
            try:
                with ThreadPoolExecutor(1) as thread:
                    # Whoever calls may be on an event loop of its own.
                    thread.submit(asyncio.run, _try_out(broker)).result()
            except LoginRefused as error:
                raise ValueError(f"REQUIRE_EVENTS is set, but {error}: see RABBITMQ_URL.") from None
            except SinkUnavailable as error:
                # It may come back; meanwhile the outbox keeps everything.
                logger.warning("broker cannot take events yet", extra={"reason": str(error)})
    elif settings.require_events:
        raise ValueError("REQUIRE_EVENTS is set, but there is no RABBITMQ_URL: where should events go?")
    else:
        logger.warning("RABBITMQ_URL is not set: events go to callbacks and to this log only")
    sinks += [_plugged_in(place) for place in (settings.event_sinks or "").split()]
    if twice := [name for name, count in Counter(sink.name for sink in sinks).items() if count > 1]:
        raise ValueError(f"EVENT_SINKS: there are two sinks named {twice[0]!r}; a name stands for one.")
    return sinks


async def _try_out(broker: RabbitMQSink) -> None:
    """Connect once, and leave nothing open."""
    try:
        await broker.check()
    finally:
        await broker.close()


def _plugged_in(place: str) -> EventSink:
    """Somebody's own sink; `place` is `module:name`, and what it names is called without arguments."""
    module, _, name = place.partition(":")
    try:
        sink = getattr(importlib.import_module(module), name)()
    except (ImportError, AttributeError) as error:
        raise ValueError(f"EVENT_SINKS: {place!r} cannot be found: {error}.") from error
    if missing := [part for part in _SINK if not hasattr(sink, part)]:
        raise ValueError(f"EVENT_SINKS: {place!r} is no event sink: it has no {', '.join(missing)}.")
    return cast("EventSink", sink)
