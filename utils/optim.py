"""Parameter groups, AdamW and the learning-rate schedule."""

import torch
from torch import nn


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

    Raises ValueError if a moment does not fit its parameter.
    """
    options = [{k: v for k, v in g.items() if k != "params"} for g in optimizer.param_groups]
    # This option of ours decides if the step counts belong on the device.
    groups = [{**group, "fused": optimizer.defaults["fused"]} for group in state["param_groups"]]
    optimizer.load_state_dict({**state, "param_groups": groups})
    for group, own in zip(optimizer.param_groups, options, strict=True):
        group.update(own)  # official files lack `lr_ratio`
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
    """Official schedule of epochs counted from 0: linear warm-up, linear decay to `min_lr`."""
    if epoch < warmup_epochs:
        return warmup_min_lr + (lr - warmup_min_lr) * epoch / warmup_epochs
    return max(min_lr, lr * (1 - (epoch + 1) / epochs))


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of every group to its share of `lr`."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group["lr_ratio"]
