"""What runtimes of exported graphs share: pictures through the encoder, tasks after that."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from upocr.backends.archive import Archive
from upocr.backends.layout import Tables, decoder_tables, encoder_tables

# Outputs of the encoder, which are inputs of the decoder.
FEATURES = ("features", "lateral16", "lateral8", "lateral4")
ENCODER, DECODER = "encoder", "decoder"
GRAPHS = (ENCODER, DECODER)
SIZES = 32  # sizes of windows whose tables are kept

Run = Callable[[Mapping[str, np.ndarray]], list[np.ndarray]]  # inputs by name -> outputs


def check_options(backend: str, device: str, dtype: str, compile: bool) -> None:
    """Raise ValueError for options that only PyTorch has."""
    if device not in ("auto", "cpu"):
        problem = f"runs on CPUs, not on {device!r}"
    elif dtype not in ("auto", "float32"):
        problem = f"computes in float32, not in {dtype}"
    elif compile:
        problem = "has nothing to compile"
    else:
        return
    raise ValueError(f"the back end {backend} {problem}; choose --backend torch")


class GraphBackend:
    """A `Backend` of two exported graphs.

    Args:
        archive: names of the tasks and so on.
        runs: what runs the encoder and the decoder, by `GRAPHS`.
    """

    def __init__(self, archive: Archive, runs: Mapping[str, Run]) -> None:
        self.tasks, self.image_size = archive.tasks, archive.image_size
        self.verdict = archive.verdict
        self.checksum = archive.checksum()
        self._runs = runs
        self._tables = lru_cache(SIZES)(lambda height, width: _tables(archive, height, width))

    def predict(self, images: np.ndarray, tasks: Sequence[str]) -> np.ndarray:
        """See `Backend.predict`; one image and one task after another stay in the cache."""
        if missing := [task for task in tasks if task not in self.tasks]:
            trained = ", ".join(self.tasks)
            raise ValueError(f"the model was trained on {trained}; not on {', '.join(missing)}")
        rows = [np.array([self.tasks.index(task)]) for task in tasks]
        output = np.stack([self._one(image[None], rows) for image in images])
        if not np.isfinite(output).all():
            raise ValueError("the network's output is not finite: the weights are damaged")
        return np.clip(output, 0, 1, out=output)

    def _one(self, image: np.ndarray, rows: Sequence[np.ndarray]) -> np.ndarray:
        """(1, 3, h, w), rows of the prompt table -> (T, 3, h, w)."""
        height, width = image.shape[2:]
        encoder, decoder = self._tables(height, width)
        found = self._runs[ENCODER]({"images": image, **encoder})
        features = dict(zip(FEATURES, found, strict=True))
        run = self._runs[DECODER]
        return np.concatenate([run({"task": row, **features, **decoder})[0] for row in rows])


def _tables(archive: Archive, height: int, width: int) -> tuple[Tables, Tables]:
    """Index tables of both graphs for pictures of one size."""
    encoder, decoder = archive.encoder, archive.decoder
    return (
        encoder_tables(height, width, encoder.depths, encoder.side),
        decoder_tables(height, width, decoder.depths, decoder.side),
    )
