"""The client of lorapod: `Client` talks to a queue endpoint, on RunPod or on this machine; `AsyncClient` on an event loop.

```python
from lorapod.client import Client

with Client("https://api.runpod.ai/v2/<endpoint_id>", api_key) as client:
    client.upload_dataset("images/", "my-style")
    training = client.train(preset="sdxl", dataset={"training_name": "my-style"})
    training.wait(on_progress=print)
    lora = training.download("loras/")
```
"""

from lorapod.client.aio.client import AsyncClient
from lorapod.client.aio.training import AsyncTraining
from lorapod.client.client import Client
from lorapod.client.errors import (
    Busy,
    ClientClosed,
    ConflictError,
    EndpointError,
    EndpointUnreachable,
    InvalidInputError,
    JobCancelled,
    JobError,
    JobFailed,
    JobNotFound,
    JobTimedOut,
    LocalFileError,
    LocalFileNotFound,
    LorapodError,
    NotFoundError,
    ProcessEnded,
    RequestTooLarge,
    TransferFailed,
    Unauthorized,
    UnexpectedAnswer,
    WaitTimeout,
    WrongUrl,
)
from lorapod.client.generation import GeneratedFiles
from lorapod.client.http import Timeouts
from lorapod.client.job import JobStatus, QueueJob
from lorapod.client.options import (
    CompareOptions,
    ConvertLoraOptions,
    GenerateOptions,
    MergeLorasOptions,
    ResizeLoraOptions,
    ResumeOptions,
    TrainOptions,
    VariantOptions,
)
from lorapod.client.partial_download import DownloadProgress
from lorapod.client.progress import Progress
from lorapod.client.retrying import RetryPolicy
from lorapod.client.snapshots import SampleImage, TrainingSnapshot
from lorapod.client.training import Training
from lorapod.client.upload import UploadedDataset, UploadProgress
from lorapod.volume.file_page import FileView
from lorapod.wire.control import CancelResult, RequestedResult
from lorapod.wire.files import DownloadResult
from lorapod.wire.process import ProcessSummary, ProcessView
from lorapod.wire.started import DryRun, Started

__all__ = [
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
]
