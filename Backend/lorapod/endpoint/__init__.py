"""RunPod's queue API and worker protocol on one machine, for the unmodified SDK loop."""

from lorapod.endpoint.config import EndpointConfig
from lorapod.endpoint.limits import EndpointLimits
from lorapod.endpoint.pool import WorkerInfo, WorkerState
from lorapod.endpoint.server import LocalEndpoint

__all__ = ["EndpointConfig", "EndpointLimits", "LocalEndpoint", "WorkerInfo", "WorkerState"]
