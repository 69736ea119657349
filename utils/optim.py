"""Parameter groups, the learning-rate schedule and the gradient step."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def parameter_groups(
    model: nn.Module, lr: float, lr_encoder_ratio: float, weight_decay: float
) -> list[dict]:
    """AdamW groups of the paper: everything but the encoder at `lr`, the encoder at a fraction of
    it.

    Official: weight decay holds for every parameter, norms and biases included. `lr_ratio` lets
    `set_lr` scale.
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
    """AdamW over `parameter_groups`, one kernel for all of a step."""
    groups = parameter_groups(model, lr, lr_encoder_ratio, weight_decay)
    return torch.optim.AdamW(groups, fused=True)


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict) -> None:
    """Continue with the moments and step counts of `state`; options stay those of `optimizer`.

    Raises ValueError where a moment does not fit its parameter.
    """
    options = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    # Whether the step counts belong on the device hangs on this option, which is ours.
    groups = [{**group, "fused": optimizer.defaults["fused"]} for group in state["param_groups"]]
    optimizer.load_state_dict({**state, "param_groups": groups})
    for group, own in zip(optimizer.param_groups, options, strict=True):
        group.update(own)  # the command line decides; official files lack `lr_ratio`
    for parameter, moments in optimizer.state.items():
        for name in ("exp_avg", "exp_avg_sq"):
            if moments[name].shape != parameter.shape:
                raise ValueError(
                    f"{name} has shape {tuple(moments[name].shape)}, its parameter "
                    f"{tuple(parameter.shape)}"
                )


def learning_rate(
    epoch: int, epochs: int, lr: float, min_lr: float, warmup_epochs: int, warmup_min_lr: float
) -> float:
    """Learning rate of an epoch counted from 0: linear warm-up, then linear decay to `min_lr`
    (official schedule).
    """
    if epoch < warmup_epochs:
        return warmup_min_lr + (lr - warmup_min_lr) * epoch / warmup_epochs
    return max(min_lr, lr * (1 - (epoch + 1) / epochs))


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Give every group its share of `lr`."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_ratio"]


def optimizer_step(
    loss: Tensor,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    parameters: Iterable[Tensor],
    clip_max_norm: float,
) -> Tensor:
    """Backward pass, clipping and update; returns the gradient norm before clipping.

    A disabled scaler does nothing, an enabled one skips the update where float16 gradients
    overflowed. `clip_max_norm` 0 does not clip.
    """
    optimizer.zero_grad(set_to_none=True)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    limit = clip_max_norm if clip_max_norm > 0 else float("inf")
    norm = nn.utils.clip_grad_norm_(parameters, limit)
    scaler.step(optimizer)
    scaler.update()
    return norm
