"""The variants of the model, every number of their architectures, and the builder."""

from collections.abc import Sequence
from typing import Any

from models.decoder import Decoder
from models.encoder import Encoder, SwinBackbone
from models.init import init_weights
from models.prompt import TaskPrompt
from models.upocr import UPOCRNetwork
from tasks import OFFICIAL_TASKS
from utils.quote import quote
from utils.registry import Registry

# Paper, section 4.2, and the defaults of the official command line.
PAPER: dict[str, Any] = {
    "embed_dim": 96,
    "enc_depths": [2, 2, 18, 2],
    "enc_num_heads": [3, 6, 12, 24],
    "enc_window_size": 16,
    "enc_pretrained_window_size": 16,
    "enc_drop_path": 0.3,
    "dec_depths": [2, 18, 2, 2, 2],
    "dec_num_heads": [24, 12, 6, 3, 2],
    "dec_window_size": 8,
    "dec_pretrained_window_size": 8,
    "dec_drop_path": 0.3,
}
VARIANTS: Registry[dict[str, Any]] = Registry("variant")
VARIANTS.register("upocr")(PAPER)
VARIANTS.register("upocr_tiny")(
    {**PAPER, "enc_depths": [2, 2, 6, 2], "dec_depths": [2, 6, 2, 2, 2]}
)
# Heads of 16 channels and small windows, for a CPU and for training from scratch.
VARIANTS.register("upocr_nano")(
    {
        "embed_dim": 32,
        "enc_depths": [2, 2, 2, 2],
        "enc_num_heads": [2, 4, 8, 16],
        "enc_window_size": 8,
        "enc_pretrained_window_size": 8,
        "enc_drop_path": 0.0,
        "dec_depths": [2, 2, 2, 2, 2],
        "dec_num_heads": [16, 8, 4, 2, 1],
        "dec_window_size": 8,
        "dec_pretrained_window_size": 8,
        "dec_drop_path": 0.0,
    }
)
# Far above every published Swin V2, and low enough that no file of kilobytes fills the memory.
MAX_EMBED_DIM, MAX_DEPTH, MAX_BLOCKS, MAX_WINDOW = 4096, 64, 256, 64
MAX_TABLES = 2**30  # bytes of the position indices of one half
FROM_SCRATCH = ("upocr_nano",)  # variants that start without pre-trained weights by default


def build_upocr(
    variant: str = "upocr",
    tasks: Sequence[str] = OFFICIAL_TASKS,
    scratch_init: bool | None = None,
    **overrides: Any,
) -> UPOCRNetwork:
    """Build and initialise a model.

    Args:
        variant: `upocr` (the paper's), `upocr_tiny` or `upocr_nano`.
        tasks: names of the tasks, one row of the prompt table each.
        scratch_init: initialise for training without pre-trained weights, see `init_weights`;
            None: only `upocr_nano`.
        overrides: numbers that replace the variant's, by any key of `PAPER`.

    Raises ValueError for an unknown variant or override, for tasks that are not distinct, and for
    numbers that do not fit together.
    """
    if not tasks or len(set(tasks)) < len(tasks):
        raise ValueError(f"tasks are {', '.join(tasks) or 'none'}, expected distinct names")
    numbers = VARIANTS[variant] | overrides
    numbers = {key: list(n) if isinstance(n, list | tuple) else n for key, n in numbers.items()}
    check_architecture(numbers)
    dim = 8 * numbers["embed_dim"]
    backbone = SwinBackbone(numbers["embed_dim"], *_half(numbers, "enc"))
    decoder = Decoder(dim, *_half(numbers, "dec"))
    model = UPOCRNetwork(Encoder(backbone), decoder, TaskPrompt(tasks, dim), dim, numbers)
    init_weights(model, variant in FROM_SCRATCH if scratch_init is None else scratch_init)
    return model


def _half(numbers: dict[str, Any], half: str) -> list[Any]:
    names = ("depths", "num_heads", "window_size", "pretrained_window_size", "drop_path")
    return [numbers[f"{half}_{name}"] for name in names]


def check_architecture(numbers: Any) -> None:
    """Raise ValueError unless `numbers` has the keys and types of `PAPER` and fits together."""
    if not isinstance(numbers, dict):
        raise ValueError(f"architecture is {quote(numbers)}, expected a dictionary")
    _check_types(numbers)
    dim = numbers["embed_dim"]
    if not 1 <= dim <= MAX_EMBED_DIM:
        raise ValueError(f"embed_dim is {quote(dim)}, expected 1 to {MAX_EMBED_DIM}")
    _check_half("enc", [dim, 2 * dim, 4 * dim, 8 * dim], *_half(numbers, "enc"))
    _check_half("dec", [8 * dim // 2**stage for stage in range(5)], *_half(numbers, "dec"))


def _check_types(numbers: dict[str, Any]) -> None:
    unknown = sorted(set(numbers) - set(PAPER), key=quote)
    if unknown:
        listed = quote(unknown)
        raise ValueError(f"unknown architecture options {listed}, expected some of {list(PAPER)}")
    for name, example in PAPER.items():
        value = numbers.get(name)
        if isinstance(example, list):
            fits = isinstance(value, list) and all(type(number) is int for number in value)
        else:
            fits = type(value) is int or type(value) is type(example)
        if not fits:
            raise ValueError(
                f"architecture: {name} is {quote(value)}, expected a value like {example}"
            )


def _check_half(
    half: str,
    dims: list[int],
    depths: list[int],
    num_heads: list[int],
    window_size: int,
    pretrained: int,
    drop_path: float,
) -> None:
    if len(depths) != len(dims) or len(num_heads) != len(dims) or min(depths) < 1:
        raise ValueError(
            f"{half}_depths {quote(depths)} and {half}_num_heads {quote(num_heads)}: expected "
            f"{len(dims)} positive numbers each"
        )
    if max(depths) > MAX_DEPTH or sum(depths) > MAX_BLOCKS:
        raise ValueError(
            f"{half}_depths {quote(depths)}: expected at most {MAX_DEPTH} blocks per stage and "
            f"{MAX_BLOCKS} in all"
        )
    for dim, heads in zip(dims, num_heads, strict=True):
        if heads < 1 or dim % heads or dim % 4:
            raise ValueError(
                f"a stage of {dim} channels does not divide into {quote(heads)} heads of "
                f"{half}_num_heads and into patches of 4"
            )
    outside = not 2 <= window_size <= MAX_WINDOW or not 0 <= pretrained <= MAX_WINDOW
    if outside or window_size % 2 or pretrained == 1:
        raise ValueError(
            f"{half}_window_size {quote(window_size)} must be even, "
            f"{half}_pretrained_window_size {quote(pretrained)} must be 0 or at least 2, and both "
            f"at most {MAX_WINDOW}"
        )
    if 8 * sum(depths) * window_size**4 > MAX_TABLES:
        raise ValueError(
            f"{half}_window_size {window_size} in {sum(depths)} blocks: their position indices "
            f"would take more than {MAX_TABLES // 2**20} MiB"
        )
    if not 0 <= drop_path < 1:
        raise ValueError(f"{half}_drop_path {quote(drop_path)} is not in [0, 1)")
