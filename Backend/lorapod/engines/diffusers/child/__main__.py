"""`python -m lorapod.engines.diffusers.child ADDRESS`: serve one engine, which listens on that abstract socket."""

from __future__ import annotations

import sys

from lorapod.engines.diffusers.child import quiet_libraries
from lorapod.engines.diffusers.messages import REQUESTS, Generate, Load
from lorapod.processes.resident.serving import Jobs, end_process, run_child


def _jobs() -> Jobs[Load | Generate]:
    quiet_libraries()
    from lorapod.engines.diffusers.child.jobs import DiffusersJobs

    return DiffusersJobs()


if __name__ == "__main__":
    end_process(run_child(sys.argv[1:], REQUESTS, _jobs))
