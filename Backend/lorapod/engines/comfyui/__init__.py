"""ComfyUI behind the engine port: workflows as data, one socket a prompt, and a history that is believed before it."""
