"""Training: `fit` and what goes with it."""

from fastnn.training.callbacks import BestCheckpoint, Callback, EarlyStopping, HistoryFile
from fastnn.training.evaluation import Evaluation, confusion_matrix, evaluate, outputs, predict
from fastnn.training.fitting import fit
from fastnn.training.history import Epoch, History, Progress
from fastnn.training.progress import ProgressDisplay
from fastnn.training.run import Run
from fastnn.training.step import make_step

__all__ = [
    "BestCheckpoint",
    "Callback",
    "EarlyStopping",
    "Epoch",
    "Evaluation",
    "History",
    "HistoryFile",
    "Progress",
    "ProgressDisplay",
    "Run",
    "confusion_matrix",
    "evaluate",
    "fit",
    "make_step",
    "outputs",
    "predict",
]
