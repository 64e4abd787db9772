"""Data: readers, filters, splits, groups, writers, and `Dataset`, which they all speak."""

from .dataset import Dataset, Split, together

__all__ = ["Dataset", "Split", "together"]
