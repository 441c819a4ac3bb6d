"""lorapod: a RunPod serverless worker that trains LoRAs and survives the platform."""

__version__ = "0.1.0"
