"""Pictures drawn by code: what the demo's base model was trained on, and the creature that the demo teaches it."""
