"""Training of networks: one loop with its batches, losses, validation, checkpoints and tracking."""

from .batches import Batch
from .config import TrainingConfig
from .context import FitContext
from .loop import Learner, fit
from .progress import TrainingLog
from .terms import Term

__all__ = ["Batch", "FitContext", "Learner", "Term", "TrainingConfig", "TrainingLog", "fit"]
