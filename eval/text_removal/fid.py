"""Fréchet Inception distance (FID) between two sets of images, by pytorch-fid."""

import pickle
import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pytorch_fid.fid_score import calculate_activation_statistics
from pytorch_fid.inception import FID_WEIGHTS_URL, InceptionV3
from torch import nn

from utils.hub import hub_file, hub_path
from utils.image import read_rgb

DIMS = 2048  # features of the last pooling layer, as in published figures
BATCH_SIZE = 50  # pytorch-fid's default


def frechet_inception_distance(
    outputs: Sequence[Path], labels: Sequence[Path], num_workers: int = 0
) -> float:
    """FID between two sets of image files, 0 for equal sets.

    Raises ValueError for fewer than two images per set, and if the Inception weights cannot be
    obtained; the message says where to put them.
    """
    if min(len(outputs), len(labels)) < 2:
        raise ValueError("FID needs at least two pairs of images")
    network = load_inception()
    statistics = [_statistics(paths, network, num_workers) for paths in (outputs, labels)]
    return frechet_distance(*statistics[0], *statistics[1])


def load_inception() -> nn.Module:
    """The Inception network of pytorch-fid; the first call downloads its weights (91 MiB)."""
    path = hub_path(FID_WEIGHTS_URL)
    try:
        hub_file(FID_WEIGHTS_URL)
        return InceptionV3([InceptionV3.BLOCK_INDEX_BY_DIM[DIMS]])
    except (OSError, EOFError, RuntimeError, ValueError, pickle.UnpicklingError) as error:
        reason = textwrap.shorten(str(error), width=200, placeholder=" ...")
        raise ValueError(
            f"{path.name}: the Inception weights of FID cannot be read ({reason}); get the file "
            f"from {FID_WEIGHTS_URL} and put it at {path}"
        ) from None


def frechet_distance(
    mean: np.ndarray, covariance: np.ndarray, other_mean: np.ndarray, other_covariance: np.ndarray
) -> float:
    """Fréchet distance of two Gaussians with means (D,) and covariances (D, D) (Dowson 1982)."""
    # pytorch-fid calls scipy's sqrtm with an argument that SciPy 1.18 removes. The root of the
    # product has the same trace as the root of a symmetric matrix, which is also faster.
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(values.clip(min=0)) @ vectors.T
    cross = np.linalg.eigvalsh(root @ other_covariance @ root)
    trace = np.trace(covariance) + np.trace(other_covariance) - 2 * np.sqrt(cross.clip(min=0)).sum()
    return float(np.square(mean - other_mean).sum() + trace)


def _statistics(
    paths: Sequence[Path], network: nn.Module, num_workers: int
) -> tuple[np.ndarray, np.ndarray]:
    # Images of different sizes cannot be stacked into a batch.
    batch_size = min(BATCH_SIZE, len(paths)) if _one_size(paths) else 1
    files = [str(path) for path in paths]
    return calculate_activation_statistics(files, network, batch_size, DIMS, "cpu", num_workers)


def _one_size(paths: Sequence[Path]) -> bool:
    return len({read_rgb(path).size for path in paths}) == 1
