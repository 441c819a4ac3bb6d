"""The engine `swarmui`: a SwarmUI server beside the worker, asked over its own API."""
