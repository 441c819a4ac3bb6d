"""Send files to a bucket: small ones in one request, large ones in parts that are continued after a break."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

from lorapod.client.bucket import Bucket, NoSuchObject
from lorapod.client.errors import TransferFailed

#: A file beyond this size is sent in parts; RunPod takes 500 MB in one request.
PART_BYTES: Final = 16 << 20

#: S3 takes no more parts of one file.
_PARTS_MAX: Final = 10_000

#: The server may copy all parts before it answers that the file is complete.
_COMPLETE_WAIT_S: Final = 3600.0

_MD5: Final = re.compile(r"[0-9a-f]{32}")

#: Called with the number of bytes that were sent, or that were there already.
OnBytes = Callable[[int], None]


def send_file(bucket: Bucket, key: str, path: Path, on_bytes: OnBytes = lambda _: None) -> None:
    """Send one file.

    Raises:
        TransferFailed: the server has received something else.
        LorapodError: the server cannot be reached, or it refuses.
        OSError: the file cannot be read.
    """
    size_bytes = path.stat().st_size
    if size_bytes > PART_BYTES:
        _LargeFile(bucket, key, path, size_bytes, on_bytes).send()
        return
    data = path.read_bytes()
    answer = bucket.request("PUT", key, body=data)
    _check(key, data, answer.headers)
    on_bytes(len(data))


class _LargeFile:
    """One file that is sent in parts."""

    def __init__(self, bucket: Bucket, key: str, path: Path, size_bytes: int, on_bytes: OnBytes) -> None:
        self._bucket = bucket
        self._key = key
        self._path = path
        self._on_bytes = on_bytes
        # The same for each attempt, so that parts of an earlier one fit.
        self._part_bytes = max(PART_BYTES, math.ceil(size_bytes / _PARTS_MAX))
        self._count = math.ceil(size_bytes / self._part_bytes)

    def send(self) -> None:
        upload_id = self._begun() or self._begin()
        present = self._present(upload_id)
        etags = []
        with self._path.open("rb") as file:
            for number in range(1, self._count + 1):
                data = file.read(self._part_bytes)
                etag = present.get(number, "")
                if etag.strip('"') != hashlib.md5(data, usedforsecurity=False).hexdigest():
                    query = {"partNumber": str(number), "uploadId": upload_id}
                    answer = self._bucket.request("PUT", self._key, query=query, body=data)
                    _check(self._key, data, answer.headers)
                    etag = answer.headers.get("ETag", "")
                etags.append(etag)
                self._on_bytes(len(data))
        self._complete(upload_id, etags)

    def _begun(self) -> str | None:
        """Return the id of an attempt that broke off, the newest."""
        try:
            answer = self._bucket.request("GET", query={"uploads": "", "prefix": self._key})
        except NoSuchObject:
            return None  # so some servers answer if there is none
        begun = [
            (upload.findtext("{*}Initiated", ""), upload.findtext("{*}UploadId", ""))
            for upload in _parsed(answer.body).iterfind("{*}Upload")
            if upload.findtext("{*}Key") == self._key
        ]
        return max(begun)[1] if begun else None

    def _begin(self) -> str:
        answer = self._bucket.request("POST", self._key, query={"uploads": ""})
        return _parsed(answer.body).findtext("{*}UploadId", "")

    def _present(self, upload_id: str) -> Mapping[int, str]:
        """Return the ETags of the parts that the server has, by number."""
        found: dict[int, str] = {}
        query = {"uploadId": upload_id}
        while True:
            page = _parsed(self._bucket.request("GET", self._key, query=query).body)
            for part in page.iterfind("{*}Part"):
                found[int(part.findtext("{*}PartNumber", "0"))] = part.findtext("{*}ETag", "")
            marker = page.findtext("{*}NextPartNumberMarker")
            if page.findtext("{*}IsTruncated") != "true" or not marker:
                return found
            query = {"uploadId": upload_id, "part-number-marker": marker}

    def _complete(self, upload_id: str, etags: list[str]) -> None:
        root = ET.Element("CompleteMultipartUpload")
        for number, etag in enumerate(etags, 1):
            part = ET.SubElement(root, "Part")
            ET.SubElement(part, "PartNumber").text = str(number)
            ET.SubElement(part, "ETag").text = etag
        answer = self._bucket.request(
            "POST",
            self._key,
            query={"uploadId": upload_id},
            body=ET.tostring(root),
            wait_s=_COMPLETE_WAIT_S,
        )
        # An error that comes late has the status of success.
        said = _parsed(answer.body)
        if said.tag.endswith("Error"):
            reason = said.findtext("{*}Message") or said.findtext("Message") or "no reason"
            raise TransferFailed(
                f"The server could not put {self._path.name} together: {reason.rstrip('.')}.",
                hint="Upload the dataset again: what has arrived is not sent twice.",
            )


def _check(key: str, data: bytes, headers: Mapping[str, str]) -> None:
    """Compare what the server has received with what was sent, if it tells its MD5."""
    etag = headers.get("ETag", "").strip('"')
    if _MD5.fullmatch(etag) and etag != hashlib.md5(data, usedforsecurity=False).hexdigest():
        raise TransferFailed(f"{key} did not arrive as it was sent.", hint="Upload the dataset again.")


def _parsed(body: bytes) -> ET.Element:
    try:
        # The caller chose the server, and expat limits the expansion of entities.
        return ET.fromstring(body)  # noqa: S314
    except ET.ParseError:
        return ET.Element("Error")
