"""Events: where they go, and what becomes of those that do not get there."""

from __future__ import annotations

from pydantic import Field, PositiveFloat, SecretStr
from pydantic_settings import BaseSettings


class EventSettings(BaseSettings):
    """Events: where they go, and what becomes of those that do not get there."""

    rabbitmq_url: SecretStr | None = Field(
        default=None,
        description="RabbitMQ broker that events go to, for example amqps://user:password@host:5671/; else to callbacks "
        "and the log only.",
    )
    rabbitmq_exchange: str = Field(
        default="hartsy.training",
        min_length=1,
        max_length=255,
        description="Topic exchange that events are published on; made where it is missing.",
    )
    require_events: bool = Field(
        default=False,
        description="Do not start without RABBITMQ_URL, nor where the broker refuses its name and password.",
    )
    callback_path: str | None = Field(
        default=None,
        description="Added to the `callback_base_url` of a job, for example /api/training/events; else such a job has "
        "no callback.",
    )
    callback_secret: SecretStr | None = Field(
        default=None,
        description="Signs the events that callbacks get, and seals callback tokens so that other workers can go on.",
    )
    callback_patience_s: PositiveFloat = Field(
        default=86_400.0,
        description="Seconds after which an event is given up that a callback does not take.",
    )
    event_sinks: str | None = Field(
        default=None,
        description="More ways for events: `module:name`, several with spaces between; see the guide to other transports.",
    )
