"""Object stores: where datasets come from, and artifacts go."""

from __future__ import annotations

from pydantic import Field, PositiveFloat, SecretStr
from pydantic_settings import BaseSettings

from lorapod.wire.storage import UploadTargets


class StoreSettings(BaseSettings):
    """Object stores: where datasets come from, and artifacts go."""

    url_expires_s: int = Field(
        default=86_400,
        ge=60,
        le=604_800,
        description="Seconds for which an address of a file works, where one is asked for; a week at most.",
    )
    bucket_endpoint_url: str | None = Field(
        default=None,
        description="S3 server, with or without the bucket in its path; else Amazon's, once BUCKET_NAME is set.",
    )
    bucket_access_key_id: str | None = Field(default=None, description="S3 access key.")
    bucket_secret_access_key: SecretStr | None = Field(default=None, description="S3 secret key.")
    bucket_name: str | None = Field(default=None, description="S3 bucket where a request names none.")
    bucket_region: str | None = Field(default=None, description="S3 region; us-east-1 where it is left out.")
    supabase_url: str | None = Field(
        default=None, description="Supabase project, for example https://abc.supabase.co."
    )
    supabase_service_key: SecretStr | None = Field(
        default=None, description="Supabase service key; it may read and write every bucket."
    )
    supabase_bucket: str | None = Field(
        default=None,
        description="Supabase bucket for files that are asked for as addresses, where there is no BUCKET_NAME.",
    )
    store_patience_s: PositiveFloat = Field(
        default=300.0, description="Seconds for which an object store that is away is asked again and again."
    )
    upload_targets: UploadTargets | None = Field(
        default=None,
        description="Where artifacts of trainings go live whose request has no `upload`, in its form as JSON; each "
        "process has a folder of its own there, named after its id.",
    )
    upload_grace_s: float = Field(
        default=300.0,
        ge=0,
        description="Seconds that a waiting `train` or `resume` stays open after the end, for what is still to be sent.",
    )
