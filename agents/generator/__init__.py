"""The generator: proposes interactions for the long tail, grounds them, and lets the data grow by what is new."""

from .agent import Generator
from .config import Generate
from .evidence import Evidence, evidence_of

__all__ = ["Evidence", "Generate", "Generator", "evidence_of"]
