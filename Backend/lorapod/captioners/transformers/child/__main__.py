"""`python -m lorapod.captioners.transformers.child ADDRESS`: serve one captioner, which listens on that abstract socket."""

from __future__ import annotations

import sys

from lorapod.captioners.transformers.child import quiet_libraries
from lorapod.captioners.transformers.messages import REQUESTS, Caption, LoadCaptioner
from lorapod.processes.resident.serving import Jobs, end_process, run_child


def _jobs() -> Jobs[LoadCaptioner | Caption]:
    quiet_libraries()
    from lorapod.captioners.transformers.child.jobs import CaptionJobs

    return CaptionJobs()


if __name__ == "__main__":
    end_process(run_child(sys.argv[1:], REQUESTS, _jobs))
