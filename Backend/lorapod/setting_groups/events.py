"""Events: where they go, and how long delivery is tried."""

from __future__ import annotations

from pydantic import Field, PositiveFloat, SecretStr
from pydantic_settings import BaseSettings


class EventSettings(BaseSettings):
    """Events: where they go, and how long delivery is tried."""

    rabbitmq_url: SecretStr | None = Field(
        default=None,
        description="RabbitMQ broker that events go to, for example amqps://user:password@host:5671/; if not set, events go "
        "to callbacks and the log only.",
    )
    rabbitmq_exchange: str = Field(
        default="hartsy.training",
        min_length=1,
        max_length=255,
        description="Topic exchange that events are published on; created if it is missing.",
    )
    require_events: bool = Field(
        default=False,
        description="Refuse to start without RABBITMQ_URL, or if the broker refuses its name and password.",
    )
    callback_path: str | None = Field(
        default=None,
        description="Added to the `callback_base_url` of a job, for example /api/training/events; if not set, such a job "
        "has no callback.",
    )
    callback_secret: SecretStr | None = Field(
        default=None,
        description="Signs the events that callbacks get, and encrypts callback tokens so that other workers can use them.",
    )
    callback_patience_s: PositiveFloat = Field(
        default=86_400.0,
        description="Seconds after which an event is dropped that a callback does not accept.",
    )
    notify_urls: SecretStr | None = Field(
        default=None,
        description="Services that a person is notified through when a training ends, as Apprise writes their URLs, separated "
        "by spaces: mailto://…, tgram://…, discord://…; needs the extra `notify`.",
    )
    event_sinks: str | None = Field(
        default=None,
        description="More event sinks: `module:name`, separated by spaces; see the guide to other transports.",
    )
