"""Turn the errors of boto3 into errors that callers can read."""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004 - botocore's own tree
    HTTPClientError,
    IncompleteReadError,
    ResponseStreamingError,
)

from lorapod.errors import NotFound, TooLarge, WorkerError
from lorapod.storage.fetching import ObjectChanged
from lorapod.storage.port import StoreRefused, StoreUnavailable

_MISSING = {"404", "NoSuchKey", "NotFound", "NoSuchUpload"}
_CREDENTIALS = {
    "401",
    "403",
    "AccessDenied",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
}
#: This machine's clock and the server's are too far apart.
_SKEWED = {"RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed"}
#: Codes that ask to come back, with any HTTP status.
_LATER = {"RequestTimeout", "SlowDown", "Throttling", "NoSuchUpload", "BadDigest"}
#: The object is not the one that was described: it has another etag, or ends before the range.
_CHANGED = {"PreconditionFailed", "InvalidRange"}


def is_missing(error: ClientError) -> bool:
    """Return whether the server says that the object does not exist."""
    return error.response.get("Error", {}).get("Code", "") in _MISSING


def as_worker_error(error: BaseException, *, key: str, bucket: str) -> WorkerError:
    """Return the error that callers see. It quotes nothing of the request, whose headers hold the key's id."""
    what = f"the object {key!r} in the S3 bucket {bucket!r}"
    if isinstance(error, HTTPClientError):
        inner: object = error.kwargs.get("error")
        if isinstance(inner, WorkerError):
            return inner
    if isinstance(error, ClientError):
        return _refusal(error, what, bucket)
    if isinstance(error, (ConnectionError, HTTPClientError, IncompleteReadError, ResponseStreamingError)):
        return StoreUnavailable(
            f"The S3 server did not answer for {what} ({type(error).__name__}).",
            hint="Try again; if it stays so, check BUCKET_ENDPOINT_URL, or the job's s3Config.",
        )
    if isinstance(error, BotoCoreError):
        return StoreRefused(f"The request for {what} cannot be made ({type(error).__name__}).")
    return StoreUnavailable(f"The transfer of {what} broke off ({type(error).__name__}).")


def _refusal(error: ClientError, what: str, bucket: str) -> WorkerError:
    code = error.response.get("Error", {}).get("Code", "unknown")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _CHANGED or status == 416:
        return ObjectChanged(f"The content of {what} changed while it was read ({code}).")
    if code in _LATER or status == 429 or status >= 500:
        return StoreUnavailable(f"The S3 server asks to come back later for {what} ({code}).")
    if code == "NoSuchBucket":
        return StoreRefused(f"There is no S3 bucket {bucket!r}.", hint="Check BUCKET_NAME and the endpoint.")
    if code in _SKEWED:
        return StoreRefused(
            f"The S3 server refuses access to {what}, because its clock and this worker's differ too much ({code}).",
            hint="Set the clock of the worker's machine, or of your own S3 server; the keys may be right.",
        )
    if code in _CREDENTIALS or status in {401, 403}:
        return StoreRefused(
            f"The S3 server refuses access to {what} ({code}).",
            hint="Check BUCKET_ACCESS_KEY_ID and BUCKET_SECRET_ACCESS_KEY, or the job's s3Config, and that key's rights.",
        )
    return _by_code(code, what)


def _by_code(code: str, what: str) -> WorkerError:
    if code in _MISSING:
        return NotFound(f"There is no {what.removeprefix('the ')}.")
    if code == "EntityTooLarge":
        return TooLarge(f"The S3 server does not accept a file of the size of {what}.")
    return StoreRefused(f"The S3 server refuses the request for {what} ({code}).")
