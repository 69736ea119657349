"""Data sets of the tasks and their loaders."""

# Importing a data set registers it.
from datasets import folders, scut_enstext, tampered_ic13, textseg  # noqa: F401
from datasets.base import DATASETS, TextDataset
from datasets.config import build_dataset
from datasets.multitask import MultiTaskLoader, evaluation_loader

__all__ = ["DATASETS", "MultiTaskLoader", "TextDataset", "build_dataset", "evaluation_loader"]
