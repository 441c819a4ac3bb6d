from __future__ import annotations

import lorapod.client as face
from lorapod.client import LorapodError


def test_the_public_face_is_this_and_nothing_else() -> None:
    assert set(face.__all__) == {
        "AsyncClient",
        "AsyncTraining",
        "Busy",
        "CancelResult",
        "Client",
        "ClientClosed",
        "CompareOptions",
        "ConflictError",
        "ConvertLoraOptions",
        "DownloadProgress",
        "DownloadResult",
        "DryRun",
        "EndpointError",
        "EndpointUnreachable",
        "FileView",
        "GenerateOptions",
        "GeneratedFiles",
        "InvalidInputError",
        "JobCancelled",
        "JobError",
        "JobFailed",
        "JobNotFound",
        "JobStatus",
        "JobTimedOut",
        "LocalFileError",
        "LocalFileNotFound",
        "LorapodError",
        "MergeLorasOptions",
        "NotFoundError",
        "ProcessEnded",
        "ProcessSummary",
        "ProcessView",
        "Progress",
        "QueueJob",
        "RequestTooLarge",
        "RequestedResult",
        "ResizeLoraOptions",
        "ResumeOptions",
        "RetryPolicy",
        "SampleImage",
        "Started",
        "Timeouts",
        "TrainOptions",
        "Training",
        "TrainingSnapshot",
        "TransferFailed",
        "Unauthorized",
        "UnexpectedAnswer",
        "UploadProgress",
        "UploadedDataset",
        "VariantOptions",
        "WaitTimeout",
        "WrongUrl",
    }
    assert all(hasattr(face, name) for name in face.__all__)


def test_every_error_is_a_lorapod_error() -> None:
    errors = [
        thing
        for name in face.__all__
        if isinstance(thing := getattr(face, name), type) and issubclass(thing, Exception)
    ]
    assert len(errors) == 22
    assert all(issubclass(error, LorapodError) for error in errors)
