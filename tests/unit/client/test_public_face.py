from __future__ import annotations

import lorapod.client as face
from lorapod.client import LorapodError


def test_the_public_face_is_this_and_nothing_else() -> None:
    assert set(face.__all__) == {
        "RequestTooLarge",
        "Busy",
        "Client",
        "ConflictError",
        "DownloadProgress",
        "EndpointError",
        "GeneratedFiles",
        "InvalidInputError",
        "QueueJob",
        "JobCancelled",
        "JobError",
        "JobFailed",
        "JobNotFound",
        "JobStatus",
        "JobTimedOut",
        "LorapodError",
        "NotFoundError",
        "ProcessEnded",
        "RetryPolicy",
        "Timeouts",
        "Training",
        "TransferFailed",
        "Unauthorized",
        "EndpointUnreachable",
        "UploadProgress",
        "UploadedDataset",
        "WaitTimeout",
    }
    assert all(hasattr(face, name) for name in face.__all__)


def test_every_error_is_a_lorapod_error() -> None:
    errors = [
        thing
        for name in face.__all__
        if isinstance(thing := getattr(face, name), type) and issubclass(thing, Exception)
    ]
    assert len(errors) == 17
    assert all(issubclass(error, LorapodError) for error in errors)
