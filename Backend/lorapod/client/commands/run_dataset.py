"""The first stages of `run`: the folder becomes a dataset, which is checked, and captioned if captions are missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import typer

from lorapod.client.client import Client
from lorapod.client.commands.datasets import UNREADABLE
from lorapod.client.commands.endings import process_ended
from lorapod.client.commands.run_screen import RunScreen
from lorapod.client.commands.screen import size
from lorapod.client.commands.transfer import transfer_bar, warn_of_upload
from lorapod.client.errors import JobFailed, LorapodError, NotFoundError
from lorapod.client.lora_run.content import FolderContent, next_names
from lorapod.client.lora_run.state import RunProgress, RunState, SentDataset
from lorapod.client.upload import UploadProgress

#: How long a captioning may run, its wait for the GPU included.
_CAPTIONING_S = 6 * 3600.0


@dataclass(kw_only=True)
class RunDataset:
    """The dataset of one run, on the worker."""

    client: Client
    screen: RunScreen
    state: RunState
    content: FolderContent
    #: The name that was asked for; its own name may have a number.
    wanted: str
    #: Whether the person chose that name.
    named: bool
    fix: bool

    def choose_name(self) -> str:
        """Return the name of the dataset: never that of one with other images.

        Raises:
            typer.BadParameter: the person chose the name of one with other images.
            LorapodError: the worker does not answer.
        """
        for name in next_names(self.wanted):
            sent = self.state.datasets.get(name)
            if sent is not None:
                fits = self.content.extends(sent.files)
                other = f"the folder has lost or changed images since they were uploaded as {name}"
            else:
                fits = self._is_free(name)
                other = f"the worker has a dataset {name} with other images"
            if fits:
                return name
            if self.named:
                raise typer.BadParameter(f"{other}: choose another name", param_hint="--dataset")
            self.screen.stage("upload", f"{other[0].upper()}{other[1:]}; that dataset is not changed.")
        raise AssertionError("there is always a further name")

    def upload(self, name: str) -> None:
        """Send the folder, unless the dataset has all of it."""
        sent = self.state.datasets.get(name)
        if sent is not None and sent.complete and sent.files == self.content.files and self._page(name):
            self.screen.stage("upload", f"done before: the dataset {name} has all {len(sent.files)} files")
            return
        sends = 1 if sent is None else sent.sends + 1
        self.state.datasets[name] = SentDataset(files=dict(self.content.files), sends=sends)
        self.state.save()
        screen = self.screen.screen
        with transfer_bar(screen) as bar:
            task = bar.add_task("upload", total=None)

            def show(now: UploadProgress) -> None:
                bar.update(task, total=now.total_bytes, completed=now.sent_bytes)

            uploaded = self.client.upload_dataset(self.content.folder, name, fix=self.fix, on_progress=show)
        warn_of_upload(screen, uploaded)
        self.state.datasets[name].complete = True
        self.state.save()
        videos = f"{uploaded.videos} videos, " if uploaded.videos else ""
        self.screen.stage(
            "upload",
            f"{uploaded.images} images, {videos}{uploaded.captions} captions, {size(uploaded.total_bytes)}, "
            f"as the dataset {name}",
        )

    def check(self, name: str, trigger_word: str | None) -> Mapping[str, Any]:
        """Print what is odd about the dataset; return its totals.

        Raises:
            LorapodError: a file in it prevents a training, or it has no image.
        """
        page = self._page(name, trigger_word)
        if page is None:
            raise LorapodError(
                f"The dataset {name} is gone from the worker.", hint="Run the same command again."
            )
        problems = page["problems"]
        self.screen.screen.warn(problem["message"] for problem in problems)
        if not page["images"] and not page["videos"]:
            raise LorapodError(f"The dataset {name} has no image that can be trained on.")
        if any(problem["code"] == UNREADABLE for problem in problems):
            raise LorapodError(
                f"The dataset {name} has files that prevent a training.",
                hint="Mend or delete them in the folder, and run the same command again.",
            )
        return page

    def caption(
        self, name: str, run: RunProgress, key: str, request: Mapping[str, Any], *, without: int
    ) -> None:
        """Have the images without a caption captioned, if the person wants that.

        Raises:
            ProcessEnded: the captioning failed.
            LorapodError: the worker refuses it.
        """
        if not without and run.captioning is None:
            run.captioned = True
            self.screen.stage("caption", "every image has a caption")
            return
        if run.captions is None:
            run.captions = self.screen.confirmed(
                f"{_images(without)} no caption. Have a model on the worker write what is missing?"
            )
            self.state.save()
        if not run.captions:
            self.screen.stage(
                "caption", f"{_images(without)} no caption, and {'gets' if without == 1 else 'get'} none"
            )
            return
        process = self._captioned(name, run, key, request)
        run.captioned = True
        self.state.save()
        self.screen.stage(
            "caption", f"{process.get('captioned', 0)} captions written ({process['process_id']})"
        )

    def _captioned(self, name: str, run: RunProgress, key: str, request: Mapping[str, Any]) -> dict[str, Any]:
        asked = {"training_name": name, "idempotency_key": key, **request}
        try:
            begun = self.client.start("caption_dataset", execution_timeout_s=_CAPTIONING_S, **asked)
        except JobFailed as error:
            error.hint = f"{error.hint} {_WITHOUT}".strip()
            raise
        run.captioning = begun.process_id
        self.state.save()
        self.screen.stage("caption", begun.process_id)
        process = self.screen.follow(self.client, begun.process_id)
        self.screen.screen.warn(f"{one['name']}: {one['error']}" for one in process.get("failed") or ())
        if process["status"] != "completed":
            raise process_ended(process, f"Run the same command again to continue. {_WITHOUT}")
        return process

    def _page(self, name: str, trigger_word: str | None = None) -> dict[str, Any] | None:
        """Return the dataset's totals and problems; None if there is no such dataset."""
        try:
            return self.client.call(
                "dataset", training_name=name, thumbnail_px=0, limit=1, trigger_word=trigger_word
            )
        except NotFoundError:
            return None

    def _is_free(self, name: str) -> bool:
        """Return whether the worker has no dataset of this name, or one that this folder has made."""
        try:
            found = self.client.list_files(f"training_data/{name}")
        except NotFoundError:
            return True
        return self.content.may_have_made({one.name: one.size_bytes for one in found})


_WITHOUT = "--no-caption trains on the images as they are, with the trigger word alone."


def _images(count: int) -> str:
    return "1 image has" if count == 1 else f"{count} images have"
