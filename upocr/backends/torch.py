"""PyTorch: our checkpoints, official files and safetensors, on any device of PyTorch."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import torch

from models import UPOCRNetwork
from models.checkpoint import build_from_checkpoint, load_checkpoint
from models.fast import for_inference
from upocr.files import checksum
from upocr.tasks import UNCALIBRATED, Verdict
from utils import dist

DEFAULT_WEIGHTS = Path(__file__).resolve().parents[2] / "pretrained" / "upocr_nano.safetensors"


class TorchBackend:
    """A network on a device.

    Args:
        network: made for inference, with the tasks that it was trained on.
        image_size: side of the training images in pixels.
        device: of the network.
        dtype: of mixed precision; None for float32.
        verdict: on the tampering of words.
    """

    def __init__(
        self,
        network: UPOCRNetwork,
        image_size: int,
        device: torch.device,
        dtype: torch.dtype | None = None,
        verdict: Verdict = UNCALIBRATED,
        weights: Path | None = None,
    ) -> None:
        self.network, self.tasks, self.image_size = network, network.tasks, image_size
        self.device, self.dtype, self.verdict = device, dtype, verdict
        self._weights = weights

    @cached_property
    def checksum(self) -> str:
        """SHA-256 of the file of the weights, "" without one."""
        return "" if self._weights is None else checksum(self._weights)

    @torch.inference_mode()
    def predict(self, images: np.ndarray, tasks: Sequence[str]) -> np.ndarray:
        """See `Backend.predict`; on a CPU neither images nor outputs are copied."""
        batch = torch.from_numpy(images).to(self.device)
        with dist.autocast(self.device, self.dtype):
            outputs = self.network(batch, [list(tasks)] * len(images))[-1]
        outputs = outputs.float()
        if not outputs.isfinite().all():
            raise ValueError(
                "the network's output is not finite: the weights are damaged or float16 is too "
                "narrow for them (--dtype float32)"
            )
        return outputs.clamp_(0, 1).cpu().numpy()


def load(
    weights: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    compile: bool = False,
    num_threads: int = 0,
) -> TorchBackend:
    """Load weights; arguments as of `UPOCR.from_pretrained`. Raises ValueError."""
    if num_threads:
        torch.set_num_threads(num_threads)
    target = dist.select_device(device)
    precision = dist.inference_dtype(target, dtype)
    path = find_weights(weights)
    checkpoint = load_checkpoint(path)
    model = build_from_checkpoint(checkpoint)
    network = for_inference(model, precision or torch.float32).to(target)
    if compile:
        network.compile()
    return TorchBackend(network, checkpoint.image_size, target, precision, checkpoint.verdict, path)


def has_accelerator() -> bool:
    """Whether this machine has a GPU that PyTorch supports."""
    return dist.select_device("auto").type != "cpu"


def find_weights(weights: str | Path | None) -> Path:
    """Path of weights; a URL is downloaded once. Raises ValueError if they cannot be obtained."""
    if weights is None:
        if DEFAULT_WEIGHTS.exists():
            return DEFAULT_WEIGHTS
        raise ValueError(f"{DEFAULT_WEIGHTS}: no such file; name a file or URL with --weights")
    url = urlparse(str(weights))
    if url.scheme not in ("http", "https", "file"):
        return Path(weights)
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    digest = hashlib.sha256(str(weights).encode()).hexdigest()[:8]  # names repeat, URLs do not
    path = folder / f"{digest}-{Path(url.path).name}"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(str(weights), str(path))
        except (OSError, ValueError) as error:
            raise ValueError(f"{weights}: cannot be downloaded ({error})") from None
    return path
