"""How the child says why it ended, so that its supervisor need not guess from a traceback."""

from __future__ import annotations

#: Begin the lines on stdout that end a failed run; the second is AI Toolkit's own.
CODE_LINE = "Error code: "
ERROR_LINE = "Error running job: "
#: What stands in the banner, or behind `ERROR_LINE`, after a stop.
STOPPED = "Job stopped"
