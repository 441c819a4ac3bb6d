"""Read what opens an S3 bucket from the endpoint's settings, or from the job's own RunPod `s3Config`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, SecretStr

from lorapod.errors import InvalidInput
from lorapod.settings import Settings
from lorapod.web_url import is_web_url
from lorapod.wire.envelope import S3_CONFIG_SECRET

DEFAULT_REGION = "us-east-1"

#: `https://<bucket>.s3.<region>.amazonaws.com`, as RunPod's guide writes the endpoint.
_AMAZON = re.compile(r"(?:(?P<bucket>.+)\.)?s3[.-](?P<region>[a-z0-9-]+)\.amazonaws\.com")
#: The region in the name of another provider's server, such as `s3.eu-central-1.wasabisys.com`.
_REGION = re.compile(r"(?:.+\.)?s3[.-](?P<region>[a-z]{2}-[a-z]+-\d{1,3})\..+")
#: The fields of RunPod's `s3Config`.
_JOB_FIELDS = ("endpointUrl", "accessId", S3_CONFIG_SECRET, "bucketName")


@dataclass(frozen=True, kw_only=True)
class S3Access:
    """Server, credentials, and the bucket of requests that name none."""

    key_id: str
    secret_key: SecretStr
    endpoint_url: str | None = None
    """None: Amazon's URL for the region."""
    bucket: str | None = None
    region: str = DEFAULT_REGION
    #: Whether only public addresses may be connected to, because a caller named the server.
    public_only: bool = False

    @classmethod
    def from_settings(cls, settings: Settings) -> S3Access:
        """Return what the settings `BUCKET_…` say.

        Raises:
            InvalidInput: they are not set, or BUCKET_ENDPOINT_URL is not a URL.
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
        """Return what a job's `s3Config` says: `endpointUrl`, `accessId`, `accessSecret`, `bucketName`.

        Raises:
            InvalidInput: a field is missing or not text, or the first is not a URL.
            UnsafeUrl: the server is not on the public internet, and `ALLOW_PRIVATE_URLS` is not set.
        """
        from lorapod.safety.urls import check_url

        values = {name: s3_config.get(name) for name in _JOB_FIELDS}
        wrong = [name for name, value in values.items() if not isinstance(value, str) or not value]
        if wrong:
            raise InvalidInput(f"The job's s3Config needs {', '.join(wrong)}, as text.")
        url = str(values["endpointUrl"])
        check_url(url, allow_private=settings.allow_private_urls)
        if urlsplit(url).username is not None:
            raise InvalidInput(
                "The endpointUrl of the job's s3Config has a user in it; give accessId instead."
            )
        access = cls._parsed(
            url=url,
            key_id=str(values["accessId"]),
            secret_key=SecretStr(str(values["accessSecret"])),
            bucket=str(values["bucketName"]),
            region=None,
        )
        return replace(access, public_only=not settings.allow_private_urls)

    @classmethod
    def _parsed(
        cls, *, url: str | None, key_id: str, secret_key: SecretStr, bucket: str | None, region: str | None
    ) -> S3Access:
        """Split a URL that contains bucket and region."""
        if url is not None:
            if not is_web_url(url):
                raise InvalidInput("BUCKET_ENDPOINT_URL (or endpointUrl) is not an http or https URL.")
            split = urlsplit(url)
            assert split.hostname is not None
            host = split.netloc
            if amazon := _AMAZON.fullmatch(split.hostname):
                bucket, region = bucket or amazon["bucket"], region or amazon["region"]
                host = f"s3.{amazon['region']}.amazonaws.com"
            elif named := _REGION.fullmatch(split.hostname):
                region = region or named["region"]
            bucket = bucket or split.path.strip("/") or None
            url = urlunsplit((split.scheme, host, "", "", ""))
        return cls(
            key_id=key_id,
            secret_key=secret_key,
            endpoint_url=url,
            bucket=bucket,
            region=region or DEFAULT_REGION,
        )


@dataclass(frozen=True, kw_only=True)
class JobS3:
    """The S3 server that a job brought with it in its `s3Config`; its stored form holds no credentials."""

    server: str
    #: Used if the job names no `bucket`.
    bucket: str
    #: None if another worker continues the job: credentials are only in memory.
    access: Annotated[S3Access | None, Field(exclude=True)] = field(default=None, repr=False, compare=False)

    @classmethod
    def of(cls, s3_config: Mapping[str, Any], settings: Settings) -> JobS3:
        """Read a job's `s3Config`; see `S3Access.from_job`."""
        access = S3Access.from_job(s3_config, settings)
        return cls(server=str(access.endpoint_url), bucket=str(access.bucket), access=access)

    @property
    def secrets(self) -> frozenset[str]:
        """The texts that must be masked while it is used."""
        if self.access is None:
            return frozenset()
        return frozenset({self.access.secret_key.get_secret_value()})

    def opened(self, settings: Settings) -> S3Access:
        """Return the job's credentials, or the endpoint's own if the job's are lost and both are for the same server.

        Raises:
            InvalidInput: there are neither.
        """
        if self.access is not None:
            return self.access
        if settings.bucket_access_key_id is not None:
            own = S3Access.from_settings(settings)
            if own.endpoint_url == self.server:
                return replace(own, bucket=self.bucket)
        raise InvalidInput(
            f"The credentials for {self.server} came with the job (`s3Config`) and are stored nowhere.",
            hint="Send `resume` with the same s3Config beside its input, or set BUCKET_ENDPOINT_URL and its "
            "credentials on the endpoint to that server.",
        )
