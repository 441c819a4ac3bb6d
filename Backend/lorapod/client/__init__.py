"""The client: `Client` talks to a queue endpoint, on RunPod or on this machine.

```python
with Client("https://api.runpod.ai/v2/<endpoint_id>", api_key) as client:
    client.upload_dataset("images/", "my-style")
    training = client.train(dataset={"training_name": "my-style"}, config=config)
    training.wait(on_progress=lambda process: print(process["progress"]))
    lora = training.download("loras/")
```
"""

from lorapod.client.client import Client
from lorapod.client.download import DownloadProgress
from lorapod.client.errors import (
    Busy,
    ConflictError,
    EndpointError,
    EndpointUnreachable,
    InvalidInputError,
    JobCancelled,
    JobError,
    JobFailed,
    JobNotFound,
    JobTimedOut,
    LorapodError,
    NotFoundError,
    ProcessEnded,
    RequestTooLarge,
    TransferFailed,
    Unauthorized,
    WaitTimeout,
)
from lorapod.client.generation import GeneratedFiles
from lorapod.client.http import Timeouts
from lorapod.client.job import JobStatus, QueueJob
from lorapod.client.retrying import RetryPolicy
from lorapod.client.training import Training
from lorapod.client.upload import UploadedDataset, UploadProgress

__all__ = [
    "Busy",
    "Client",
    "ConflictError",
    "DownloadProgress",
    "EndpointError",
    "EndpointUnreachable",
    "GeneratedFiles",
    "InvalidInputError",
    "JobCancelled",
    "JobError",
    "JobFailed",
    "JobNotFound",
    "JobStatus",
    "JobTimedOut",
    "LorapodError",
    "NotFoundError",
    "ProcessEnded",
    "QueueJob",
    "RequestTooLarge",
    "RetryPolicy",
    "Timeouts",
    "Training",
    "TransferFailed",
    "Unauthorized",
    "UploadProgress",
    "UploadedDataset",
    "WaitTimeout",
]
