"""The child of the LoRA tools: one run, on the processor, with torch."""
