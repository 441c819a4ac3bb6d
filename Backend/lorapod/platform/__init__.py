"""RunPod's management API (REST v2): endpoints, workers, volumes, and the catalog with its prices."""
