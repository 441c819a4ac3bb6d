"""The likeness of a training's own samples to its dataset, measured while it trains."""
