"""The embedded trainer: LoRAs for Stable Diffusion 1.x and SDXL, from a subset of AI Toolkit's config.

`python -m lorapod.trainers.builtin CONFIG.yaml` trains. To its supervisor it looks as AI Toolkit does: the same files,
lines, progress bar and control table. The worker itself may import `config`, `run_folder` and `adapter`, which need no
torch; everything else here belongs to the child.
"""
