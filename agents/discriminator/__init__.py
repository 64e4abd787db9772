"""The discriminator: real or made up? Judges rows, calibrates its confidence, and says what may stay."""

from .agent import Discriminator
from .calibration import Calibration, calibration_of
from .config import Cut, Discriminate, Noise

__all__ = ["Calibration", "Cut", "Discriminate", "Discriminator", "Noise", "calibration_of"]
