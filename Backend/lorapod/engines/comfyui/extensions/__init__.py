"""ComfyUI's extensions (custom nodes): what `COMFYUI_NODES` asks for is installed once, for all workers of a volume."""
