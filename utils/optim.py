"""Parameter groups, AdamW and the learning-rate schedule."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from utils.quote import quote
from utils.weights import unfit

MOMENTS = ("exp_avg", "exp_avg_sq")


def parameter_groups(
    model: nn.Module, lr: float, lr_encoder_ratio: float, weight_decay: float
) -> list[dict]:
    """AdamW groups of the paper: the encoder at a fraction of `lr`, all other parameters at `lr`.

    Official: weight decay applies to every parameter, norms and biases included. `set_lr` scales
    by `lr_ratio`.
    """
    named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
    encoder = [p for name, p in named if name.startswith("encoder.")]
    others = [p for name, p in named if not name.startswith("encoder.")]
    return [
        {"params": params, "lr": lr * ratio, "lr_ratio": ratio, "weight_decay": weight_decay}
        for params, ratio in ((others, 1.0), (encoder, lr_encoder_ratio))
    ]


def build_optimizer(
    model: nn.Module, lr: float, lr_encoder_ratio: float, weight_decay: float
) -> torch.optim.AdamW:
    """Fused AdamW over `parameter_groups`."""
    groups = parameter_groups(model, lr, lr_encoder_ratio, weight_decay)
    return torch.optim.AdamW(groups, fused=True)


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict) -> None:
    """Continue with the moments and step counts of `state`, and the options of `optimizer`.

    Raises ValueError, before anything changes, for an entry that does not fit its parameter.
    """
    numbers = [group["params"] for group in state["param_groups"]]
    own = [group["params"] for group in optimizer.param_groups]
    sizes = [len(group) for group in numbers], [len(group) for group in own]
    if sizes[0] != sizes[1]:
        raise ValueError(f"optimizer groups of {sizes[0]} parameters, expected {sizes[1]}")
    parameters = {
        number: parameter
        for group, of_ours in zip(numbers, own, strict=True)
        for number, parameter in zip(group, of_ours, strict=True)
    }
    if len(parameters) < sum(sizes[1]) or not state["state"].keys() <= parameters.keys():
        raise ValueError("optimizer state and groups do not name the same parameters")
    for number, entries in state["state"].items():
        _check_moments(f"optimizer state {number}", entries, parameters[number])
    # Our own options: they decide if the step counts belong on the device, and official files
    # lack `lr_ratio`.
    groups = [
        {**group, "params": names}
        for group, names in zip(optimizer.param_groups, numbers, strict=True)
    ]
    optimizer.load_state_dict({"state": state["state"], "param_groups": groups})


def _check_moments(source: str, entries: dict[str, Any], parameter: Tensor) -> None:
    """Raise ValueError unless fused AdamW can write into `entries` as into its own."""
    if set(entries) != {"step", *MOMENTS}:
        raise ValueError(f"{source}: expected step, {', '.join(MOMENTS)}")
    step = entries["step"]
    if not isinstance(step, Tensor | float | int) or (isinstance(step, int) and step > 2**53):
        raise ValueError(f"{source}: step is {quote(step)}")
    if isinstance(step, Tensor) and (step.ndim or unfit(step) or not step.is_floating_point()):
        raise ValueError(f"{source}: step is {unfit(step) or 'not one number'}")
    if not 0 <= float(step) < math.inf:
        raise ValueError(f"{source}: step is {float(step)}")
    for name in MOMENTS:
        moment = entries[name]
        if not isinstance(moment, Tensor) or unfit(moment):
            problem = unfit(moment) if isinstance(moment, Tensor) else type(moment).__name__
            raise ValueError(f"{source}: {name} is {problem}, expected plain numbers")
        found, expected = (moment.dtype, moment.shape), (parameter.dtype, parameter.shape)
        if found != expected:
            shapes = f"{found[0]} {tuple(found[1])}, its parameter {expected[0]}"
            raise ValueError(f"{source}: {name} is {shapes} {tuple(expected[1])}")


def learning_rate(
    epoch: int, epochs: int, lr: float, min_lr: float, warmup_epochs: int, warmup_min_lr: float
) -> float:
    """Official schedule of epochs counted from 0: linear warm-up, linear decay to `min_lr`."""
    if epoch < warmup_epochs:
        return warmup_min_lr + (lr - warmup_min_lr) * epoch / warmup_epochs
    return max(min_lr, lr * (1 - (epoch + 1) / epochs))


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group to its share of `lr`."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_ratio"]
