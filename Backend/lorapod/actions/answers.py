"""The answer to a request that started or resumed a process: at once, or when the process has ended."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

from lorapod.actions.action import RunPodJob
from lorapod.actions.attachment import JobAttachment
from lorapod.actions.process_view import view
from lorapod.actions.uploads import wait_for_uploads
from lorapod.errors import Conflict
from lorapod.processes.manager import RealProcessManager
from lorapod.processes.order import Accepted, SealedCallback
from lorapod.records.estimates import estimate_of
from lorapod.records.status import ProcessStatus
from lorapod.settings import Settings
from lorapod.storage.mirror.mirrors import Mirrors
from lorapod.thread_pools import STARTS
from lorapod.volume.process_view import shown_estimate
from lorapod.wire.dataset import DatasetView
from lorapod.wire.model import Result
from lorapod.wire.started import Finished, Started
from lorapod.workspace import Workspace

#: RunPod stops an idle worker a few seconds after its last job.
_DETACHED = (
    "RunPod stops this worker soon after its last job, and the process with it: it would then be `interrupted`, "
    "and `resume` continues a training from its checkpoint. Send `wait: true`, or keep the worker with `keep_alive`."
)


def asking(settings: Settings, job: RunPodJob) -> str | None:
    """Return the id of the RunPod job behind a request; None outside RunPod, where events have no meaningful id."""
    return job.job_id if settings.serverless and job.job_id else None


@dataclass(frozen=True, kw_only=True)
class ProcessAnswers:
    """What answers a request that started or resumed a process, at once or when the process has ended."""

    settings: Settings
    workspace: Workspace
    processes: RealProcessManager
    mirrors: Mirrors
    attachment: JobAttachment

    async def answer(
        self,
        accepted: Accepted,
        dataset: DatasetView | None,
        job: RunPodJob,
        *,
        wait: bool | None,
        callback: SealedCallback | None = None,
    ) -> Result:
        """Describe the process, or wait for its end first if the request or else the settings say so.

        `callback` is the request's: the one that the process's first worker knew may have been lost with that worker.
        """
        if self.settings.waits_for_training if wait is None else wait:
            return await self._finished(accepted, job, callback)
        record, warnings = accepted.record, list(accepted.warnings)
        if self.settings.serverless:
            warnings.append(_DETACHED)
        return Started(
            process_id=record.process_id,
            status=record.status.value,
            created_at=record.created_at,
            config_path=self.workspace.relative(record.config_path(self.workspace))
            if record.trainer
            else None,
            output_path=self.workspace.relative(record.output_folder(self.workspace)),
            dataset=dataset,
            estimate=shown_estimate(estimate_of(record)),
            warnings=warnings,
        )

    async def _finished(
        self, accepted: Accepted, job: RunPodJob, callback: SealedCallback | None
    ) -> Finished:
        process_id = accepted.record.process_id
        ended = await self.attachment.stay(process_id, job)
        if accepted.retried and ended.status is ProcessStatus.INTERRUPTED:
            # The worker that this job was on before is certainly dead now.
            with contextlib.suppress(Conflict):
                await STARTS.run(
                    self.processes.resume,
                    process_id,
                    runpod_job_id=asking(self.settings, job),
                    job_s3=job.s3,
                    callback=callback,
                )
            ended = await self.attachment.stay(process_id, job)
        late = await wait_for_uploads(
            process_id,
            mirrors=self.mirrors,
            workspace=self.workspace,
            grace_s=self.settings.upload_grace_s,
        )
        seen = await STARTS.run(view, ended, self.workspace)
        warnings = list(dict.fromkeys([*accepted.warnings, *seen.warnings, *late]))
        return Finished(**{**dict(seen), "warnings": warnings})
