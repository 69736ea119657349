"""The unified model and its builder, which holds every number of the architectures."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.decoder import Decoder
from models.encoder import Encoder, SwinBackbone
from models.mlp import Mlp
from models.prompt import TaskPrompt, Tasks, task_ids

STRIDE = 32  # sides of an image are multiples of it

# Paper, section 4.2, and the defaults of the official command line.
PAPER = {
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
VARIANTS = {
    "upocr": PAPER,
    "upocr_tiny": {**PAPER, "enc_depths": [2, 2, 6, 2], "dec_depths": [2, 6, 2, 2, 2]},
    # Heads of 16 channels and small windows: made for a CPU and for training from scratch.
    "upocr_nano": {
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
    },
}
BRANCH_SHARE = 0.3  # weight of a block's two branches at the start of a training from scratch
# Of patches of photographs, 0-1: standard deviation of light and of the two opponent colours at
# wave number 0, the least that a wave is taken to have, and the mean.
COLOUR_SPREAD = torch.tensor([1.0, 0.25, 0.15])
LEAST_SPREAD, MEAN_COLOUR = 0.02, 0.45
SETTLED_SPREAD = 2.0  # of the channels that hold no wave, where waves are about 1
FROM_SCRATCH = ("upocr_nano",)  # variants that start well without pre-trained weights by default


class UPOCR(nn.Module):
    """Image and task in, image out: encoder, projection, task prompt, decoder.

    Args:
        encoder: the built encoder.
        decoder: the built decoder.
        task_prompt: the built prompt table.
        dim: channels of the 1/32 map.
        architecture: the numbers it was built from, kept for the checkpoint.
    """

    def __init__(
        self,
        encoder: Encoder,
        decoder: Decoder,
        task_prompt: TaskPrompt,
        dim: int,
        architecture: dict[str, int | float | list[int]],
    ) -> None:
        super().__init__()
        self.architecture = architecture
        self.encoder = encoder
        self.decoder = decoder
        self.proj = nn.Linear(dim, dim)
        self.task_prompt = task_prompt

    def forward(self, images: Tensor, tasks: Tasks) -> list[Tensor]:
        """images: (B, 3, H, W) RGB in [0, 1]; tasks: B names or (B,) int64 rows -> three maps (B,
        3, h, w).

        The maps are at 1/4, 1/2 and full resolution, coarse to fine, and may leave [0, 1]. Tasks
        may differ inside a batch. With T names for every image, or (B, T) rows, the maps are (B, T,
        3, h, w), and the encoder and the lateral connections, which see no prompt, run once for
        all. Raises ValueError for sides that are no multiple of 32, an unknown task or a wrong
        count.
        """
        if images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images have shape {tuple(images.shape)}, expected (B, 3, H, W)")
        height, width = images.shape[2:]
        if height % STRIDE or width % STRIDE or not height or not width:
            raise ValueError(f"images are {height} x {width}, expected multiples of {STRIDE}")
        rows = task_ids(tasks, len(images))
        *skips, coarsest = self.encoder(images)
        prompted = self.task_prompt(self.proj(coarsest), rows)
        outputs = self.decoder(prompted, skips[::-1])
        return outputs if rows.ndim == 1 else [x.unflatten(0, tuple(rows.shape)) for x in outputs]

    def set_grad_checkpointing(self, encoder: bool, decoder: bool) -> None:
        """Trade time for memory in training: recompute the blocks of either half in the backward
        pass.
        """
        for stages, enabled in (
            (self.encoder.backbone.layers, encoder),
            (self.decoder.layers, decoder),
        ):
            for stage in stages:
                stage.grad_checkpointing = enabled


def build_upocr(
    variant: str = "upocr", scratch_init: bool | None = None, **overrides: int | float | list[int]
) -> UPOCR:
    """Build and initialise a model.

    Args:
        variant: `upocr` (the paper's), `upocr_tiny` or `upocr_nano`.
        scratch_init: start for training without pre-trained weights, see `init_weights`; None: as
            the variant does.
        overrides: any key of `PAPER`, in place of the variant's number.

    Raises ValueError for an unknown variant or override, and for numbers that do not fit together.
    """
    if variant not in VARIANTS:
        raise ValueError(f"unknown variant {variant!r}, expected one of {sorted(VARIANTS)}")
    numbers = VARIANTS[variant] | overrides
    numbers = {key: list(n) if isinstance(n, list | tuple) else n for key, n in numbers.items()}
    check_architecture(numbers)
    dim = 8 * numbers["embed_dim"]
    backbone = SwinBackbone(numbers["embed_dim"], *_half(numbers, "enc"))
    decoder = Decoder(dim, *_half(numbers, "dec"))
    model = UPOCR(Encoder(backbone), decoder, TaskPrompt(dim), dim, numbers)
    init_weights(model, variant in FROM_SCRATCH if scratch_init is None else scratch_init)
    return model


def _half(numbers: dict, half: str) -> list:
    names = ("depths", "num_heads", "window_size", "pretrained_window_size", "drop_path")
    return [numbers[f"{half}_{name}"] for name in names]


def _check_types(numbers: dict[str, int | float | list[int]]) -> None:
    unknown = sorted(set(numbers) - set(PAPER), key=str)
    if unknown:
        raise ValueError(f"unknown architecture options {unknown}, expected some of {list(PAPER)}")
    for name, example in PAPER.items():
        value = numbers.get(name)
        if isinstance(example, list):
            fits = isinstance(value, list) and all(type(number) is int for number in value)
        else:
            fits = type(value) is int or type(value) is type(example)
        if not fits:
            raise ValueError(f"architecture: {name} is {value!r}, expected the like of {example}")


def check_architecture(numbers: dict[str, int | float | list[int]]) -> None:
    """Raise ValueError where the numbers of an architecture are not those of `PAPER`, or do not fit
    together.
    """
    if not isinstance(numbers, dict):
        raise ValueError(f"architecture is {numbers!r}, expected a dictionary")
    _check_types(numbers)
    if numbers["embed_dim"] < 1:
        raise ValueError(f"embed_dim is {numbers['embed_dim']}, expected at least 1")
    for half, stages in (("enc", 4), ("dec", 5)):
        depths, num_heads, window_size, pretrained, drop_path = _half(numbers, half)
        if len(depths) != stages or len(num_heads) != stages or min(depths) < 1:
            raise ValueError(
                f"{half}_depths {depths} and {half}_num_heads {num_heads}: expected {stages} "
                "positive numbers each"
            )
        dims = [numbers["embed_dim"] * 2**s for s in range(4)]
        if half == "dec":
            dims = [numbers["embed_dim"] * 8 // 2**s for s in range(5)]
        for dim, heads in zip(dims, num_heads, strict=True):
            if heads < 1 or dim % heads or dim % 4:
                raise ValueError(
                    f"embed_dim {numbers['embed_dim']}: a stage of {dim} channels does not divide "
                    f"into {heads} heads of {half}_num_heads and into patches of 4"
                )
        if window_size < 2 or window_size % 2 or pretrained < 0 or pretrained == 1:
            raise ValueError(
                f"{half}_window_size {window_size} must be even, {half}_pretrained_window_size "
                f"{pretrained} must be 0 or at least 2"
            )
        if not 0 <= drop_path < 1:
            raise ValueError(f"{half}_drop_path {drop_path} is not in [0, 1)")


@torch.no_grad()
def init_weights(model: UPOCR, scratch_init: bool) -> None:
    """Initialise as the authors do, or with `scratch_init` for training without their weights.

    Official: prompts start so small, and the lateral connections so large, that without pre-trained
    weights the prompt drowns and the tasks never part.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            # The usual deviation suits many channels; in few, layers that start so weak stay nearly
            # linear for long.
            std = module.in_features**-0.5 if scratch_init else 0.02
            nn.init.trunc_normal_(module.weight, std=std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    for stage in (*model.encoder.backbone.layers, *model.decoder.layers):
        for block in stage.blocks:
            for norm in (block.norm1, block.norm2):
                nn.init.constant_(norm.weight, BRANCH_SHARE if scratch_init else 0.0)
                nn.init.zeros_(norm.bias)
    prompts = model.task_prompt.task_embedding.weight
    if scratch_init:
        backbone = model.encoder.backbone
        _init_patches_for_scratch(backbone.patch_embed.proj, backbone.layers[0].blocks[0].mlp)
        nn.init.normal_(prompts)
        _init_ends_for_scratch(model.decoder)
    else:
        nn.init.kaiming_normal_(prompts)


@torch.no_grad()
def _init_patches_for_scratch(embedding: nn.Conv2d, mlp: Mlp) -> None:
    """Patches as their cosine transform in opponent colours, with all waves about equally strong,
    and how strong the waves of light are whatever their sign.

    Photographs have little strength in fine waves, which tell strokes and the traces of tampering;
    at random, every filter of the embedding would see mostly the mean colour of its patch. And
    noise, blur and compression change the strength of waves, not their mean: nothing that is linear
    in the waves sees them. So the MLP of the first block writes magnitudes into channels that the
    embedding leaves empty. Channels beyond these stay as they are.

    Args:
        embedding: 3 to C channels.
        mlp: of the first block, C channels.
    """
    side = embedding.kernel_size[0]
    place, order = torch.arange(side) + 0.5, torch.arange(side)
    waves = F.normalize(torch.cos(torch.pi / side * order[:, None] * place), dim=1)
    colours = F.normalize(torch.tensor([[1.0, 1, 1], [1, 0, -1], [-0.5, 1, -0.5]]), dim=1)
    filters = torch.einsum("kc,uy,vx->kuvcyx", colours, waves, waves).flatten(0, 2)  # (48, 3, 4, 4)
    wave = torch.cartesian_prod(order, order).float().norm(dim=1)  # (16,) number of each wave
    spread = torch.outer(COLOUR_SPREAD, (1 + 3 * wave) ** -1.3).flatten().clamp(min=LEAST_SPREAD)
    # The waves of light and the mean colours first; the other waves of colour where there is room.
    light = torch.arange(1, len(wave))
    means = torch.arange(0, len(filters), len(wave))
    basis = torch.cat((means, light))
    others = [n for n in spread.argsort(descending=True, stable=True).tolist() if n not in basis]
    room = max(embedding.out_channels - len(basis) - len(light), 0)
    kept = torch.cat((basis, torch.tensor(others[:room], dtype=torch.long)))
    kept = kept[: embedding.out_channels]
    weight = (filters / spread[:, None, None, None])[kept]
    embedding.weight[: len(kept)] = weight
    embedding.bias[: len(kept)] = -MEAN_COLOUR * weight.sum((1, 2, 3))
    empty = torch.arange(len(kept), min(len(kept) + len(light), embedding.out_channels))
    if not len(empty):
        return
    # The norms that follow divide by the spread of a token's channels, and with it would go how
    # strong its waves are. Channels that are far apart, and the same for all tokens, settle it.
    embedding.weight[empty] = 0.0
    embedding.bias[empty] = SETTLED_SPREAD * _alternating(len(empty))
    mlp.fc2.bias[: len(basis)] = _alternating(len(basis))
    mlp.fc2.weight.mul_(BRANCH_SHARE)
    for n, channel in enumerate(range(len(means), len(basis))):
        pair = [2 * n, 2 * n + 1]  # GELU(2x) + GELU(-2x), about 2|x|
        mlp.fc1.weight[pair] = 0.0
        mlp.fc1.weight[pair, channel] = torch.tensor([2.0, -2.0])
        mlp.fc2.weight[:, pair] = 0.0
        mlp.fc2.weight[empty[n % len(empty)], pair] = 1.0


def _alternating(count: int) -> Tensor:
    """(count,): 1, -1, 1, ..."""
    return 1.0 - 2.0 * (torch.arange(count) % 2)


def _init_ends_for_scratch(decoder: Decoder) -> None:
    """Lateral connections that are closed, but hand on every feature as it is up to their last
    convolution; and faint RGB heads.

    Full-size heads start with noisy pictures, and unlearning those also kills the path of the
    prompt.
    """
    for lateral in decoder.lateral_connection_list:
        *inner, last = lateral
        for conv, copies in zip(inner, (1, 2, 1), strict=True):
            identity = nn.init.dirac_(torch.empty_like(conv.weight), copies)
            conv.weight.mul_(0.5).add_(identity)  # the noise parts the two copies
            nn.init.zeros_(conv.bias)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    for head in (*decoder.intermediate_convs, decoder.output_conv):
        head.weight.mul_(0.03)
        nn.init.zeros_(head.bias)
