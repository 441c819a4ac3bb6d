"""The builtin trainer: LoRAs for Stable Diffusion 1.x and SDXL, from a subset of AI Toolkit's config.

`python -m lorapod.trainers.builtin CONFIG.yaml` trains. It writes the same files, lines, progress bar and control table
as AI Toolkit, so its supervisor treats both alike. The worker imports only modules that need no torch (`adapter`,
`config`, `outcome`, `preparation`, `run_folder`); the others belong to the child.
"""
