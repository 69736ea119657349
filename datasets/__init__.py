"""Data sets of the three tasks and their loaders."""

from datasets.base import TextDataset
from datasets.config import build_dataset
from datasets.multitask import MultiTaskLoader, evaluation_loader

__all__ = ["MultiTaskLoader", "TextDataset", "build_dataset", "evaluation_loader"]
