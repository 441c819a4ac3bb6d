"""Facts about the configs of an AI Toolkit checkout, read from its sources as text: nothing of it is imported."""
