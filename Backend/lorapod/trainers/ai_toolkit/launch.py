"""Start one job of AI Toolkit, with the control table through which it is watched."""

from __future__ import annotations

from pathlib import Path

from lorapod.installations import Installation
from lorapod.processes.launch import LaunchSpec
from lorapod.trainers.control_table import ControlTable


def launch_job(
    installation: Installation,
    config_path: Path,
    *,
    control_path: Path,
    process_id: str,
    name: str,
    total_steps: int | None,
) -> LaunchSpec:
    """Make the control table afresh, and return how to start the child.

    Raises:
        OSError: the control table cannot be written.
    """
    ControlTable.create(control_path, process_id, name=name, total_steps=total_steps)
    return LaunchSpec(
        argv=(str(installation.python), str(installation.entry), str(config_path)),
        cwd=installation.root,
        environment={"AITK_JOB_ID": process_id},
    )
