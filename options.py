"""The options of a run: from the command line, a configuration file and a checkpoint."""

import argparse
import dataclasses
import os
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models import IMAGE_LOSSES, VARIANTS
from models.checkpoint import MAX_IMAGE_SIZE
from models.upocr import STRIDE
from utils.cli import BOOL, Parser
from utils.dist import AMP_DTYPES
from utils.quote import quote
from utils.yaml_file import read_yaml

MAX_SEED = 2**32 - 1
MAX_COUNT = 2**53  # larger integers are no floats
AUTO = "auto"  # of --resume
# Belongs to one command, not to the run that a configuration or a checkpoint describes.
OF_THE_COMMAND = ("config", "resume", "eval", "overwrite")


def option(default: Any, help: str, **argparse_options: Any) -> Any:
    """A field of an options class; `argparse_options` as of `ArgumentParser.add_argument`."""
    return field(default=default, metadata={"help": help, **argparse_options})


def parse_factor(text: str) -> tuple[str, float]:
    """argparse type: `text_removal=0.2` -> ("text_removal", 0.2)."""
    name, _, factor = text.partition("=")
    try:
        value = float(factor)
    except ValueError:
        value = -1.0
    if not name or not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=FACTOR with a finite factor of at least 0"
        )
    return name, value


@dataclass(frozen=True)
class RunOptions:
    """Where and how a run takes place."""

    output_dir: str = option("", "folder of all output files; default: the folder of --resume")
    config: str = option("", "config.yaml of an earlier run; options given beside it override it")
    resume: str = option(
        "",
        "checkpoint to continue from, with all its options, or to evaluate with --eval true; "
        "auto: the newest whole one in --output_dir, or a new run if there is none",
    )
    overwrite: bool = option(
        False,
        "delete the checkpoints of an earlier run in --output_dir, after the first step of this "
        "one",
    )
    eval: bool = option(False, "evaluate --resume instead of training")
    device: str = option("auto", "auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N, or mps")
    seed: int = option(42, "seed of weights, sample order and augmentation")
    amp: bool = option(False, "mixed precision")
    amp_dtype: str | None = option(
        None, "default: float16 on CUDA, bfloat16 elsewhere", choices=sorted(AMP_DTYPES)
    )
    tf32: bool = option(False, "faster, less precise float32 matrix products on NVIDIA GPUs")
    compile: bool = option(False, "train through torch.compile; the first step takes minutes")
    timeout: float = option(1800.0, "seconds to wait for another process, or for data")
    print_freq: int = option(10, "steps between log lines")
    tensorboard: bool = option(False, "write TensorBoard event files")
    wandb: bool = option(False, "log to Weights & Biases")
    download_timeout: float = option(30.0, "seconds that a server of weights may be silent")


@dataclass(frozen=True)
class DataOptions:
    """What is read, and how results are scored."""

    data_root: str = option("data", "folder that the roots in data configurations are relative to")
    data_cfg_paths: tuple[str, ...] = option((), "data_configs/train/*.yaml to train on jointly")
    val_data_cfg_paths: tuple[str, ...] = option((), "data_configs/eval/*.yaml for validation")
    eval_data_cfg_path: tuple[str, ...] = option((), "data_configs/eval/*.yaml for --eval true")
    pix2pix_size: int | None = option(
        None, "side of the network's input in pixels; default: that of the weights, else 512"
    )
    num_workers: int = option(6, "loader processes per process, at most the number of cores")
    eval_batch_size: int = option(
        1, "images per evaluation batch; other sizes may change the last digits"
    )
    textseg_conf_thres: float | None = option(
        None, "channel mean above which a pixel counts as text; default: that of the task, 0.4"
    )
    visualize: bool = option(False, "write the class pictures of segmentation and detection")

    def processes(self) -> int:
        """Loader processes per process; batches do not depend on their number."""
        return min(self.num_workers, os.cpu_count() or 1)


@dataclass(frozen=True)
class OptimisationOptions:
    """Steps, learning rate and loss."""

    batch_size: int = option(8, "samples per data set, process and step")
    epochs: int = option(400, "epochs of --iter_per_epoch steps")
    iter_per_epoch: int = option(200, "steps per epoch")
    lr: float = option(5e-4, "learning rate after the warm-up")
    lr_encoder_ratio: float = option(0.1, "learning rate of the encoder as a fraction of --lr")
    warmup_epochs: int = option(10, "epochs of linear warm-up")
    warmup_min_lr: float = option(1e-4, "learning rate of the first epoch")
    min_lr: float = option(1e-5, "lower bound of the learning rate after the warm-up")
    weight_decay: float = option(1e-4, "weight decay of AdamW")
    clip_max_norm: float = option(0.1, "maximum gradient norm; 0 disables clipping")
    task_weights: dict[str, float] = field(
        default_factory=dict,
        metadata={
            "help": "factors of the losses of tasks, 1 by default. Without pre-trained weights "
            "text_removal has by far the largest gradients and delays the other tasks",
            "type": parse_factor,
            "nargs": "+",
            "metavar": "TASK=FACTOR",
        },
    )
    image_losses: dict[str, float] = field(
        default_factory=dict,
        metadata={
            "help": "factors of further losses of text removal, for training without VGG16: "
            f"{', '.join(IMAGE_LOSSES)}; none by default, as in the paper",
            "type": parse_factor,
            "nargs": "+",
            "metavar": "LOSS=FACTOR",
        },
    )
    save_interval: int = option(10, "epochs between checkpoints that are kept")
    keep_last: int = option(0, "delete all but this many of the kept checkpoints; 0 keeps all")
    save_steps: int = option(
        0, "steps between states that are saved within an epoch; 0 saves at its end"
    )
    eval_interval: int = option(10, "epochs between validations; the last epoch always counts")
    validate_first: bool = option(False, "also validate the starting weights")
    vgg16_weights: str = option(
        "imagenet",
        "VGG16 of the perceptual and style losses of text removal: imagenet, a file, random, or "
        "none to omit both losses; official checkpoints bring their own",
    )


def _number(name: str, help_name: str) -> Any:
    """An architecture option; None: the number of the variant or of the weights."""
    example = VARIANTS["upocr"][name]
    options = {"nargs": "+", "type": int} if isinstance(example, list) else {"type": type(example)}
    return option(None, f"{help_name}; default: that of the variant", number=name, **options)


@dataclass(frozen=True)
class ModelOptions:
    """Architecture and starting weights."""

    variant: str | None = option(
        None, "architecture; default: that of the weights, else upocr", choices=list(VARIANTS)
    )
    scratch_init: bool | None = option(
        None,
        "initialisation for training without pre-trained weights; default: upocr_nano only",
    )
    task_prompts: bool = option(True, "false: train without task prompts, as an ablation")
    pretrained_model: str = option("", "weights of a whole model to start from")
    pretrained_encoder: str = option(
        "",
        "encoder to start from: SwinV2 ImageNet weights, a UPOCR file, or timm:NAME; ImageNet "
        "weights lack norm0 to norm2, which keep their initial values",
    )
    pretrained_decoder: str = option("", "UPOCR file whose decoder to start from")
    swin_use_checkpoint: bool = option(
        False, "gradient checkpointing: recompute blocks in the backward pass to save memory"
    )
    swin_enc_use_checkpoint: bool = option(False, "gradient checkpointing of the encoder only")
    swin_dec_use_checkpoint: bool = option(False, "gradient checkpointing of the decoder only")
    swin_enc_embed_dim: int | None = _number("embed_dim", "channels of the first stage")
    swin_enc_depths: tuple[int, ...] | None = _number("enc_depths", "encoder blocks per stage")
    swin_enc_num_heads: tuple[int, ...] | None = _number("enc_num_heads", "encoder heads per stage")
    swin_enc_window_size: int | None = _number("enc_window_size", "encoder window in tokens")
    swin_enc_pretrained_ws: int | None = _number(
        "enc_pretrained_window_size", "encoder window of the pre-training, 0 for the same"
    )
    swin_enc_drop_path_rate: float | None = _number("enc_drop_path", "encoder stochastic depth")
    swin_dec_depths: tuple[int, ...] | None = _number("dec_depths", "decoder blocks per stage")
    swin_dec_num_heads: tuple[int, ...] | None = _number("dec_num_heads", "decoder heads per stage")
    swin_dec_window_size: int | None = _number("dec_window_size", "decoder window in tokens")
    swin_dec_pretrained_ws: int | None = _number(
        "dec_pretrained_window_size", "decoder window of the pre-training, 0 for the same"
    )
    swin_dec_drop_path_rate: float | None = _number("dec_drop_path", "decoder stochastic depth")

    def numbers(self) -> dict[str, Any]:
        """Keys and values of `models.VARIANTS` that replace those of the variant."""
        found = {
            each.metadata["number"]: getattr(self, each.name)
            for each in dataclasses.fields(self)
            if "number" in each.metadata
        }
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in found.items()
            if value is not None
        }


@dataclass(frozen=True)
class Options:
    """All options of `main.py`; the groups of `config.yaml`."""

    run: RunOptions
    data: DataOptions
    optimisation: OptimisationOptions
    model: ModelOptions

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Plain nested dictionary for `config.yaml` and checkpoints, without `OF_THE_COMMAND`."""
        return {
            group: {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in values.items()
                if name not in OF_THE_COMMAND
            }
            for group, values in dataclasses.asdict(self).items()
        }


GROUPS: dict[str, type] = typing.get_type_hints(Options)


def build_parser() -> argparse.ArgumentParser:
    """Every option of the command, absent from the result unless given."""
    parser = Parser(
        description="Train UPOCR jointly on its data sets, or evaluate a checkpoint.",
        formatter_class=argparse.RawTextHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    for group, kind in GROUPS.items():
        arguments = parser.add_argument_group(group)
        hints = typing.get_type_hints(kind)
        for each in dataclasses.fields(kind):
            _add_argument(arguments, each, hints[each.name])
    return parser


def _add_argument(group: Any, each: dataclasses.Field, hint: Any) -> None:
    options = {key: value for key, value in each.metadata.items() if key != "number"}
    plain = [kind for kind in typing.get_args(hint) if kind is not types.NoneType]
    if typing.get_origin(hint) is types.UnionType:
        hint = plain[0]
    if typing.get_origin(hint) is tuple:
        options = {"nargs": "+", "type": typing.get_args(hint)[0], **options}
    elif hint is bool:
        options = {**BOOL, **options}
    elif "type" not in options:
        options["type"] = hint
    if each.default not in (None, "", (), dataclasses.MISSING):
        options["help"] += f" (default: {str(each.default).lower()})"
    group.add_argument(f"--{each.name}", **options)


def parse_command_line(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Options that are given on the command line or in its --config file; raises ValueError."""
    given = vars(build_parser().parse_args(arguments))
    given = {name: tuple(v) if isinstance(v, list) else v for name, v in given.items()}
    for name in {"task_weights", "image_losses"} & given.keys():
        given[name] = dict(given[name])
    if given.get("config"):
        given = read_config(given["config"]) | given
    if given.get("eval") and not given.get("resume"):
        raise ValueError("--eval true needs a checkpoint: name it with --resume")
    if given.get("resume") == AUTO and given.get("overwrite"):
        raise ValueError("--resume auto continues and --overwrite true deletes: choose one")
    if given.get("resume") == AUTO and not given.get("output_dir"):
        raise ValueError("--resume auto looks into a folder: name it with --output_dir")
    if given.get("eval") and not given.get("eval_data_cfg_path"):
        raise ValueError(
            "--eval true needs data: name data_configs/eval/*.yaml with --eval_data_cfg_path"
        )
    return given


def read_config(path: str) -> dict[str, Any]:
    """Options in a `config.yaml`, by name; raises ValueError that names the file and the key."""
    content = read_yaml(Path(path))
    try:
        return flatten(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def flatten(content: Any) -> dict[str, Any]:
    """Nested dictionary as of `Options.to_dict` -> option name -> value; raises ValueError."""
    if not isinstance(content, Mapping) or not content:
        raise ValueError(f"expected the groups {', '.join(GROUPS)}")
    flat: dict[str, Any] = {}
    for group, values in content.items():
        if group == "resolved":  # for people: facts that follow from the options
            continue
        if group not in GROUPS or not isinstance(values, Mapping):
            raise ValueError(f"unknown group {quote(group)}, expected {', '.join(GROUPS)}")
        hints = typing.get_type_hints(GROUPS[group])
        for name, value in values.items():
            if name not in hints or name in OF_THE_COMMAND:
                raise ValueError(f"unknown option {quote(name)} in {group}")
            flat[name] = _checked_type(name, value, hints[name])
    return flat


def _checked_type(name: str, value: Any, hint: Any) -> Any:
    """A value of a file as the type of its option; raises ValueError."""
    kinds = typing.get_args(hint) if typing.get_origin(hint) is types.UnionType else (hint,)
    for kind in kinds:
        origin = typing.get_origin(kind)
        if origin is tuple and isinstance(value, list | tuple):
            inner = typing.get_args(kind)[0]
            return tuple(_checked_type(name, each, inner) for each in value)
        if origin is dict and isinstance(value, Mapping):
            return {str(key): _checked_type(name, each, float) for key, each in value.items()}
        if kind is float and type(value) is int and abs(value) < MAX_COUNT:
            return float(value)
        if type(value) is kind:
            return value
    raise ValueError(f"{name} is {quote(value)}, expected {hint}")


def resolve(given: Mapping[str, Any], earlier: Mapping[str, Any]) -> Options:
    """Options of this run: the given ones, then those of the resumed run, then the defaults.

    Args:
        given: by name, see `parse_command_line`.
        earlier: `Options.to_dict` of the resumed run, empty without one.

    Raises ValueError for a value out of range and for an option that is missing.
    """
    values: dict[str, Any] = flatten(earlier) if earlier else {}
    if values:  # the folder may have moved
        values["output_dir"] = str(Path(given["resume"]).parent)
    values |= given
    groups = {
        group: kind(**{each.name: values[each.name] for each in _given_fields(kind, values)})
        for group, kind in GROUPS.items()
    }
    options = Options(**groups)
    _check(options)
    return options


def changes(options: Options, earlier: Mapping[str, Any]) -> list[str]:
    """One line per option that differs from the resumed run, apart from the output folder."""
    before, now = flatten(earlier) if earlier else {}, flatten(options.to_dict())
    return [
        f"--{name} is {now[name]}, the resumed run had {value}"
        for name, value in before.items()
        if name != "output_dir" and now[name] != value
    ]


def _given_fields(kind: type, values: Mapping[str, Any]) -> list[dataclasses.Field]:
    return [each for each in dataclasses.fields(kind) if each.name in values]


def _check(options: Options) -> None:
    run, data = options.run, options.data
    if not run.eval and not data.data_cfg_paths:
        raise ValueError(
            "training needs data: name data_configs/train/*.yaml with --data_cfg_paths"
        )
    if not run.output_dir:
        raise ValueError("name a folder for the results with --output_dir")
    if run.seed > MAX_SEED:
        raise ValueError(f"--seed is {run.seed}, expected at most {MAX_SEED}")
    threshold = data.textseg_conf_thres
    if threshold is not None and not 0 <= threshold <= 1:
        raise ValueError(f"--textseg_conf_thres is {threshold}, expected 0 to 1")
    size = data.pix2pix_size
    if size is not None and (size < STRIDE or size % STRIDE):
        raise ValueError(f"--pix2pix_size is {size}, expected a positive multiple of {STRIDE}")
    if size is not None and size > MAX_IMAGE_SIZE:
        raise ValueError(f"--pix2pix_size is {size}, expected at most {MAX_IMAGE_SIZE}")
    _check_numbers(options)


def _check_numbers(options: Options) -> None:
    positive = {"batch_size", "eval_batch_size", "epochs", "iter_per_epoch", "print_freq"}
    positive |= {"save_interval", "eval_interval", "timeout"}
    for group in (options.run, options.data, options.optimisation):
        for name, value in vars(group).items():
            if type(value) not in (int, float):
                continue
            if name in positive and value < 1:
                raise ValueError(f"--{name} is {value}, expected at least 1")
            if type(value) is int and value > MAX_COUNT:
                raise ValueError(f"--{name} is {quote(value)}, expected at most {MAX_COUNT}")
            if not 0 <= value < float("inf"):
                raise ValueError(f"--{name} is {value}, expected 0 or more")
