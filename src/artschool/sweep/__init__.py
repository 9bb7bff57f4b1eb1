"""`artschool sweep`: many trainings of one file with other values, chosen by optuna."""

from artschool.sweep.loop import sweep
from artschool.sweep.result import Result, Row
from artschool.sweep.settings import Metric, Settings, read_arguments

__all__ = ["Metric", "Result", "Row", "Settings", "read_arguments", "sweep"]
