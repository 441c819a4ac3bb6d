"""One training in a session folder, from request to end: shared by the single-purpose actions."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from lorapod.actions.action import RunPodJob
from lorapod.actions.answers import ProcessAnswers
from lorapod.actions.attachment import JobAttachment
from lorapod.actions.start_request import StartRequest
from lorapod.actions.starting import TrainingStarts
from lorapod.atomic import write_atomically
from lorapod.clock import Clock
from lorapod.errors import Conflict, ErrorCode, UpstreamError, WorkerError, error_of
from lorapod.models.links import link_and_log
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import Accepted, SealedCallback, TrainingOrder
from lorapod.records.status import ProcessStatus
from lorapod.sessions import TrainingSession, begin_session, drop_session
from lorapod.settings import Settings
from lorapod.thread_pools import STARTS
from lorapod.wire.started import Finished
from lorapod.wire.uploads import UploadsView
from lorapod.workspace import CONFIG_NAME, Workspace
from lorapod.yaml_config.text import dump_config, parse_config


@dataclass(frozen=True, kw_only=True)
class SessionEnd:
    """A completed training."""

    session: TrainingSession
    message: str
    process: Finished


@dataclass(frozen=True, kw_only=True)
class SessionRuns:
    """What runs one training in a session folder, from its request to its end."""

    settings: Settings
    clock: Clock
    workspace: Workspace
    processes: RealProcessManager
    starts: TrainingStarts
    attachment: JobAttachment
    answers: ProcessAnswers

    async def run(
        self, config: str | Mapping[str, Any], request: StartRequest, job: RunPodJob, *, parent: str = ""
    ) -> SessionEnd:
        """Train in a new session folder in `parent`, and always wait for the end.

        A RunPod job that is handed out again continues in the session that it began.

        Raises:
            WorkerError: it could not be started, or did not complete; `details` then names the session and the process.
        """
        submit = partial(self._submit, config, request, job, parent)
        accepted, (session, callback) = await self.attachment.begin(submit)
        process = await self.answers.answer(accepted, None, job, wait=True, callback=callback)
        assert isinstance(process, Finished), "it was waited for"
        await STARTS.run(link_and_log, self.settings, self.workspace)
        if process.status != ProcessStatus.COMPLETED:
            raise _failure(process, session, job)
        return SessionEnd(session=session, message=_message(process.uploads), process=process)

    def _submit(
        self, config: str | Mapping[str, Any], request: StartRequest, job: RunPodJob, parent: str
    ) -> tuple[Accepted, tuple[TrainingSession, SealedCallback | None]]:
        parsed = parse_config(config, max_bytes=self.settings.max_config_bytes)
        order, plan = self.starts.order_for(parsed, request, job)
        warnings = self.starts.try_out(order, plan, request, job)
        session = begin_session(self.workspace, self.clock, parent=parent)
        try:
            # It is replaced by the trainer's own form of the config before the start.
            path = self.workspace.root / session.folder / CONFIG_NAME
            write_atomically(path, dump_config(parsed).encode())
            accepted = self.processes.submit("train", _in_session(order, session)).warned(warnings)
        except BaseException:
            drop_session(session, self.workspace)
            raise
        if accepted.record.session == session.folder:
            return accepted, (session, order.callback)
        # The same job began it on a worker that died before it could answer.
        drop_session(session, self.workspace)
        return accepted, (TrainingSession(folder=accepted.record.session or ""), order.callback)


def _in_session(order: TrainingOrder, session: TrainingSession) -> TrainingOrder:
    return dataclasses.replace(
        order,
        session=session.folder,
        dataset_path=session.dataset,
        dataset={"path": session.dataset},
    )


def _failure(process: Finished, session: TrainingSession, job: RunPodJob) -> WorkerError:
    job_id = process.job_id or job.job_id or None
    details = [{"session_id": session.id, "process_id": process.process_id, "job_id": job_id}]
    if process.failure is not None:
        failure = process.failure
        return error_of(ErrorCode(failure.code), failure.message, hint=failure.hint or "", details=details)
    if process.status == ProcessStatus.CANCELLED:
        return Conflict("The training was cancelled.", details=details)
    return UpstreamError(
        "The training was interrupted: its worker was stopped.",
        hint=f'Send {{"type": "resume", "process_id": "{process.process_id}"}} to continue from its last checkpoint.',
        details=details,
    )


def _message(uploads: UploadsView | None) -> str:
    if uploads is None or not (uploads.failed or uploads.pending):
        return "Training completed successfully"
    if not uploads.failed:
        return f"Training completed; {uploads.pending} files are still being uploaded"
    failed = uploads.failed[0]
    if not failed.key:
        return f"Training completed, but nothing could be uploaded: {failed.error}"
    more = f" (and {len(uploads.failed) - 1} more)" if len(uploads.failed) > 1 else ""
    waiting = uploads.pending - len(uploads.failed)
    rest = f" {waiting} more files are still being uploaded" if waiting > 0 else ""
    return f"Training completed, but {failed.key}{more} could not be uploaded: {failed.error}{rest}"
