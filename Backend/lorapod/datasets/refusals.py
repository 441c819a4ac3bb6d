"""The files of one intake that were refused, each with its error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lorapod.datasets import intake
from lorapod.errors import InsufficientStorage, InvalidInput, WorkerError
from lorapod.wire.dataset import RejectedFile, is_dataset_name
from lorapod.workspace import NAME_MAX_BYTES


class Refusals:
    """Collects what an intake refuses, file by file."""

    def __init__(self) -> None:
        """Begin with nothing refused."""
        self.files: list[RejectedFile] = []
        #: The error of each refused file, in the same order.
        self.errors: list[WorkerError] = []

    def add(self, name: str, error: WorkerError) -> None:
        """Add one file."""
        expected = next(
            (item["expected_offset"] for item in error.details if "expected_offset" in item), None
        )
        self.errors.append(error)
        self.files.append(
            RejectedFile(
                filename=name if len(name) <= NAME_MAX_BYTES else f"{name[: NAME_MAX_BYTES - 3]}...",
                code=error.code,
                error=error.message,
                hint=error.hint or None,
                expected_offset=expected,
            )
        )

    @contextmanager
    def catching(self, name: str) -> Iterator[None]:
        """Add the file if the block refuses it, or the disk is full.

        Raises:
            OSError: the file system failed for another reason than being full.
        """
        try:
            yield
        except WorkerError as error:
            self.add(name, error)
        except OSError as error:
            if not intake.is_full(error):
                raise
            self.add(name, intake.disk_full(name))

    def of_everything(self) -> WorkerError:
        """Return one error for an upload of which no file was taken."""
        first = self.errors[0]
        kind = type(first) if len({error.code for error in self.errors}) == 1 else InvalidInput
        more = f" Other files refused: {len(self.errors) - 1}." if len(self.errors) > 1 else ""
        details = [file.model_dump(mode="json", exclude_none=True) for file in self.files]
        about = f"{self.files[0].filename}: "
        return kind(f"{about}{first.message.removeprefix(about)}{more}", hint=first.hint, details=details)

    def refuse_damaged(self, *, anything_left: bool) -> None:
        """Refuse the whole if a file of a kind that trainers read is damaged, or if no file is left.

        Raises:
            WorkerError: it is; each file is in `details`.
        """
        full = next((error for error in self.errors if isinstance(error, InsufficientStorage)), None)
        if full is not None:
            raise full
        damaged = [file for file in self.files if _is_damaged(file)]
        if not damaged and anything_left:
            return
        reported = damaged or self.files
        if not reported:
            raise InvalidInput("There are no images in what was fetched.")
        first = self.errors[self.files.index(reported[0])]
        more = f" Other files with problems: {len(reported) - 1}." if len(reported) > 1 else ""
        about = f"{reported[0].filename}: "
        raise type(first)(
            f"The dataset cannot be trained on: {about}{reported[0].error.removeprefix(about)}{more}",
            hint=first.hint or "Repair or remove these files where they are, then try again.",
            details=[{"field": file.filename, "error": file.error} for file in reported[:100]],
        )


def _is_damaged(file: RejectedFile) -> bool:
    return file.code != "conflict" and is_dataset_name(file.filename.rpartition("/")[2])
