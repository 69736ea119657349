"""Both initialisations of the model: the official one, and one for training from scratch."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.decoder import Decoder
from models.swin import Mlp, SwinBlock
from models.upocr import UPOCRNetwork

BRANCH_SCALE = 0.3  # weight of the two branches of a block in training from scratch
# Patches of photographs in [0, 1]: standard deviation of luminance and of the two opponent colours
# at wave number 0, the lower bound for all waves, and the mean.
COLOUR_SPREAD = torch.tensor([1.0, 0.25, 0.15])
MIN_SPREAD, MEAN_COLOUR = 0.02, 0.45
SETTLED_SPREAD = 2.0  # of the channels without a wave, where waves are about 1


@torch.no_grad()
def init_weights(model: UPOCRNetwork, scratch_init: bool) -> None:
    """Initialise as the authors do, or with `scratch_init` for training without their weights.

    Official: prompts start so small, and lateral connections so large, that without pre-trained
    weights the prompts drown and the tasks never separate.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            # The official deviation suits many channels; layers of few channels would start so
            # weak that they stay nearly linear for long.
            std = module.in_features**-0.5 if scratch_init else 0.02
            nn.init.trunc_normal_(module.weight, std=std)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, SwinBlock):
            for norm in (module.norm1, module.norm2):
                nn.init.constant_(norm.weight, BRANCH_SCALE if scratch_init else 0.0)
                nn.init.zeros_(norm.bias)
    prompts = model.task_prompt.task_embedding.weight
    if not scratch_init:
        nn.init.kaiming_normal_(prompts)
        return
    backbone = model.encoder.backbone
    first_mlp = next(module for module in backbone.modules() if isinstance(module, Mlp))
    _init_patches(backbone.patch_embed.proj, first_mlp)
    nn.init.normal_(prompts)
    _init_ends(model.decoder)


def _init_patches(embedding: nn.Conv2d, mlp: Mlp) -> None:
    """Embed a patch as its cosine transform in opponent colours, all waves about equally strong,
    and let the first MLP compute the magnitudes of the luminance waves.

    Photographs have little energy in fine waves, which carry strokes and traces of tampering; a
    random filter sees mostly the mean colour of its patch. Noise, blur and compression change the
    magnitude of a wave, not its mean, so nothing linear in the waves detects them: the MLP of the
    first block writes magnitudes into channels that the embedding leaves empty. Any further
    channels keep their random weights.

    Args:
        embedding: 3 to C channels.
        mlp: of the first block, C channels.
    """
    side, channels = embedding.kernel_size[0], embedding.out_channels
    magnitudes = side**2 - 1  # waves of luminance, without the mean
    basis = 3 + magnitudes
    filters = _cosine_filters(side)[: max(channels - magnitudes, basis)][:channels]
    assert embedding.bias is not None
    embedding.weight[: len(filters)] = filters
    embedding.bias[: len(filters)] = -MEAN_COLOUR * filters.sum((1, 2, 3))
    empty = torch.arange(len(filters), min(len(filters) + magnitudes, channels))
    if not len(empty):
        return
    # The following norms divide by the spread of a token's channels, which would cancel the
    # strength of its waves. Constant channels that are far apart settle that spread.
    embedding.weight[empty] = 0.0
    embedding.bias[empty] = SETTLED_SPREAD * _alternating(len(empty))
    mlp.fc2.bias[:basis] = _alternating(basis)
    mlp.fc2.weight.mul_(BRANCH_SCALE)
    for wave in range(magnitudes):
        pair = [2 * wave, 2 * wave + 1]  # GELU(2x) + GELU(-2x), about 2|x|
        mlp.fc1.weight[pair] = 0.0
        mlp.fc1.weight[pair, 3 + wave] = torch.tensor([2.0, -2.0])
        mlp.fc2.weight[:, pair] = 0.0
        mlp.fc2.weight[empty[wave % len(empty)], pair] = 1.0


def _cosine_filters(side: int) -> Tensor:
    """Orthogonal filters of a patch, (3 * side**2, 3, side, side), for responses of about 1.

    The three mean colours first, then the waves of luminance, then those of colour by strength.
    """
    place, order = torch.arange(side) + 0.5, torch.arange(side)
    waves = F.normalize(torch.cos(torch.pi / side * order[:, None] * place), dim=1)
    colours = F.normalize(torch.tensor([[1.0, 1, 1], [1, 0, -1], [-0.5, 1, -0.5]]), dim=1)
    filters = torch.einsum("kc,uy,vx->kuvcyx", colours, waves, waves).flatten(0, 2)
    number = torch.cartesian_prod(order, order).float().norm(dim=1)  # (side**2,) of each wave
    spread = torch.outer(COLOUR_SPREAD, (1 + 3 * number) ** -1.3).flatten().clamp(min=MIN_SPREAD)
    first = [*range(0, len(filters), side**2), *range(1, side**2)]
    strongest = spread.argsort(descending=True, stable=True).tolist()
    rows = first + [row for row in strongest if row not in first]
    return (filters / spread[:, None, None, None])[rows]


def _alternating(count: int) -> Tensor:
    """(count,): 1, -1, 1, ..."""
    return 1.0 - 2.0 * (torch.arange(count) % 2)


def _init_ends(decoder: Decoder) -> None:
    """Close the lateral connections in their last convolution alone, and weaken the RGB heads.

    Heads of full strength start with noisy images, and unlearning those also kills the path of
    the prompts.
    """
    for module in decoder.modules():
        if isinstance(module, nn.Conv2d) and module.bias is not None:
            nn.init.zeros_(module.bias)
    for lateral in decoder.lateral_connection_list:
        *inner, last = (parameter for parameter in lateral.parameters() if parameter.ndim == 4)
        for weight, copies in zip(inner, (1, 2, 1), strict=True):
            identity = nn.init.dirac_(torch.empty_like(weight), copies)
            weight.mul_(0.5).add_(identity)  # the noise tells the two copies apart
        last.zero_()
    for heads in (decoder.intermediate_convs, decoder.output_conv):
        for parameter in heads.parameters():
            parameter.mul_(0.03)
