"""Sign requests to an S3 server: AWS Signature Version 4."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import urlsplit

DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, kw_only=True)
class S3Keys:
    """The keys of an S3 server. Nothing shows them."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    region: str = DEFAULT_REGION

    def headers(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
        """Return the headers that sign a request, with those that it has already.

        Args:
            method: GET, HEAD, PUT, POST or DELETE.
            url: the path quoted, the query sorted by name with spaces as `%20`.
            headers: those that have to arrive unchanged.
            body: the request's; empty if it has none.
        """
        target = urlsplit(url)
        moment = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        scope = f"{moment[:8]}/{self.region}/s3/aws4_request"
        body_digest = hashlib.sha256(body).hexdigest()
        own = {**headers, "x-amz-content-sha256": body_digest, "x-amz-date": moment}
        signed = {name.lower(): value.strip() for name, value in own.items()}
        signed["host"] = _host(target.scheme, target.netloc)
        names = ";".join(sorted(signed))
        lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
        request = f"{method}\n{target.path}\n{target.query}\n{lines}\n{names}\n{body_digest}"
        digest = hashlib.sha256(request.encode()).hexdigest()
        key = f"AWS4{self.secret_key}".encode()
        for part in (*scope.split("/"), f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{digest}"):
            key = hmac.digest(key, part.encode(), "sha256")
        own["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.access_key}/{scope}, SignedHeaders={names}, Signature={key.hex()}"
        )
        return own


def _host(scheme: str, netloc: str) -> str:
    """Return the `Host` header as it is sent: without the scheme's own port."""
    return netloc.removesuffix({"http": ":80", "https": ":443"}.get(scheme, ""))
