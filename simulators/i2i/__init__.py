"""The study of generated interactions: what they are worth to item-to-item models, against additions of equal size."""

from .config import ItemStudy
from .report import i2i
from .study import ItemStudyResult, study_i2i

__all__ = ["ItemStudy", "ItemStudyResult", "i2i", "study_i2i"]
