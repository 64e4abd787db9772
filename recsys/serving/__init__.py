"""Serving: trained models saved with their ids, evaluated, and used for recommendations, neighbours and vectors."""

from .evaluate import evaluate
from .folder import Trained, aligned, keep, open_folder
from .lists import lists
from .recommend import recommend, recommend_to_file
from .similar import nearest, similar
from .train import train
from .vectors import vectors

__all__ = [
    "Trained",
    "aligned",
    "evaluate",
    "keep",
    "lists",
    "nearest",
    "open_folder",
    "recommend",
    "recommend_to_file",
    "similar",
    "train",
    "vectors",
]
