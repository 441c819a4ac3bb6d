"""What opens an S3 bucket: from the endpoint's settings, or from the job's own RunPod `s3Config`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import SecretStr

from lorapod.errors import InvalidInput
from lorapod.settings import Settings

DEFAULT_REGION = "us-east-1"

#: `https://<bucket>.s3.<region>.amazonaws.com`, the form in which RunPod's own guide writes the endpoint.
_AMAZON = re.compile(r"(?:(?P<bucket>.+)\.)?s3[.-](?P<region>[a-z0-9-]+)\.amazonaws\.com")
#: The fields of RunPod's `s3Config`.
_JOB_FIELDS = ("endpointUrl", "accessId", "accessSecret", "bucketName")


@dataclass(frozen=True, kw_only=True)
class S3Access:
    """Server, credentials, and the bucket where a request names none."""

    key_id: str
    secret_key: SecretStr
    endpoint_url: str | None = None
    """None: Amazon's own for the region."""
    bucket: str | None = None
    region: str = DEFAULT_REGION

    @classmethod
    def from_settings(cls, settings: Settings) -> S3Access:
        """What `BUCKET_…` say.

        Raises:
            InvalidInput: they are not set, or are not an address.
        """
        key_id, secret_key = settings.bucket_access_key_id, settings.bucket_secret_access_key
        if key_id is None or secret_key is None:
            raise InvalidInput(
                "This endpoint has no S3 credentials.",
                hint="Set BUCKET_ACCESS_KEY_ID, BUCKET_SECRET_ACCESS_KEY, BUCKET_NAME and BUCKET_ENDPOINT_URL on the "
                "endpoint.",
            )
        return cls._parsed(
            url=settings.bucket_endpoint_url,
            key_id=key_id,
            secret_key=secret_key,
            bucket=settings.bucket_name,
            region=settings.bucket_region,
        )

    @classmethod
    def from_job(cls, s3_config: Mapping[str, Any], settings: Settings) -> S3Access:
        """What a job's `s3Config` says: `endpointUrl`, `accessId`, `accessSecret`, `bucketName`.

        Raises:
            InvalidInput: a field is missing, no text, or not an address.
        """
        values = {name: s3_config.get(name) for name in _JOB_FIELDS}
        wrong = [name for name, value in values.items() if not isinstance(value, str) or not value]
        if wrong:
            raise InvalidInput(f"The job's s3Config needs {', '.join(wrong)}, as text.")
        return cls._parsed(
            url=str(values["endpointUrl"]),
            key_id=str(values["accessId"]),
            secret_key=SecretStr(str(values["accessSecret"])),
            bucket=str(values["bucketName"]),
            region=settings.bucket_region,
        )

    @classmethod
    def _parsed(
        cls, *, url: str | None, key_id: str, secret_key: SecretStr, bucket: str | None, region: str | None
    ) -> S3Access:
        """Take bucket and region out of an address that holds them."""
        if url is not None:
            split = urlsplit(url)
            if split.scheme not in {"http", "https"} or not split.hostname:
                raise InvalidInput("BUCKET_ENDPOINT_URL (or endpointUrl) is not an http or https address.")
            host = split.netloc
            if amazon := _AMAZON.fullmatch(split.hostname):
                bucket, region = bucket or amazon["bucket"], region or amazon["region"]
                host = f"s3.{amazon['region']}.amazonaws.com"
            bucket = bucket or split.path.strip("/") or None
            url = urlunsplit((split.scheme, host, "", "", ""))
        return cls(
            key_id=key_id,
            secret_key=secret_key,
            endpoint_url=url,
            bucket=bucket,
            region=region or DEFAULT_REGION,
        )
