"""Object stores: the sources of datasets, and the targets of artifacts."""

from __future__ import annotations

from pydantic import Field, PositiveFloat, SecretStr
from pydantic_settings import BaseSettings

from lorapod.wire.storage import UploadTargets


class StoreSettings(BaseSettings):
    """Object stores: the sources of datasets, and the targets of artifacts."""

    url_expires_s: int = Field(
        default=86_400,
        ge=60,
        le=604_800,
        description="Seconds for which the URL of a file works; a week at most.",
    )
    bucket_endpoint_url: str | None = Field(
        default=None,
        description="S3 server, with or without the bucket in its path; if not set, Amazon's, once BUCKET_NAME is set.",
    )
    bucket_access_key_id: str | None = Field(default=None, description="S3 access key.")
    bucket_secret_access_key: SecretStr | None = Field(default=None, description="S3 secret key.")
    bucket_name: str | None = Field(default=None, description="S3 bucket if a request names none.")
    bucket_region: str | None = Field(default=None, description="S3 region; us-east-1 if not set.")
    supabase_url: str | None = Field(
        default=None, description="Supabase project, for example https://abc.supabase.co."
    )
    supabase_service_key: SecretStr | None = Field(
        default=None, description="Supabase service key; it may read and write every bucket."
    )
    supabase_bucket: str | None = Field(
        default=None,
        description="Supabase bucket for files that are answered as URLs, if BUCKET_NAME is not set.",
    )
    store_patience_s: PositiveFloat = Field(
        default=300.0,
        description="Seconds for which requests to an object store that does not answer are repeated.",
    )
    upload_targets: UploadTargets | None = Field(
        default=None,
        description="Where artifacts are uploaded while a training runs, if its request has no `upload`: the same fields, as JSON. "
        "Each process has its own folder there, named after its id.",
    )
    upload_grace_s: float = Field(
        default=300.0,
        ge=0,
        description="Seconds that a waiting `train` or `resume` stays open after the end, until everything is uploaded.",
    )
