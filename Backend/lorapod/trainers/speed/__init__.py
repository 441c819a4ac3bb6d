"""The speed of trainings: measured while they run, kept on the workspace, and expected of the next ones."""

from lorapod.trainers.speed.book import SpeedBook
from lorapod.trainers.speed.forecasts import Forecasts
from lorapod.trainers.speed.recorder import SpeedRecorder

__all__ = ["Forecasts", "SpeedBook", "SpeedRecorder"]
