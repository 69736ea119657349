"""Train UPOCR jointly on its data sets, or evaluate a checkpoint: `python main.py --help`."""

import argparse
import dataclasses
import json
import logging
import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from datasets import MultiTaskLoader, TextDataset, build_dataset, evaluation_loader
from engine import DivergenceError, evaluate, train_one_epoch
from eval import EvaluationOptions, build_evaluator
from eval.records import METRICS, read_metrics
from models import (
    TASKS,
    UPOCR,
    VARIANTS,
    build_criterion,
    build_upocr,
    build_vgg16,
    vgg16_from_state,
)
from models.checkpoint import (
    IMAGE_SIZE,
    Checkpoint,
    CheckpointError,
    build_from_checkpoint,
    load_checkpoint,
    load_pretrained_decoder,
    load_pretrained_encoder,
    save_atomically,
)
from models.upocr import STRIDE
from utils import dist
from utils.cli import Parser, parse_bool, run
from utils.files import write_json
from utils.logger import RunLog, setup_logging
from utils.memory import keep_freed_memory
from utils.optim import build_optimizer, learning_rate, load_optimizer, set_lr

logger = logging.getLogger("upocr")

LAST = "checkpoint_last.pth"
MAX_SEED = 2**32 - 1

# Command line -> architecture options of `build_upocr`. None on the command line: as the variant or
# the checkpoint has it.
ARCHITECTURE = {
    "swin_enc_embed_dim": "embed_dim",
    "swin_enc_depths": "enc_depths",
    "swin_enc_num_heads": "enc_num_heads",
    "swin_enc_window_size": "enc_window_size",
    "swin_enc_pretrained_ws": "enc_pretrained_window_size",
    "swin_enc_drop_path_rate": "enc_drop_path",
    "swin_dec_depths": "dec_depths",
    "swin_dec_num_heads": "dec_num_heads",
    "swin_dec_window_size": "dec_window_size",
    "swin_dec_pretrained_ws": "dec_pretrained_window_size",
    "swin_dec_drop_path_rate": "dec_drop_path",
}
FREE = ("enc_drop_path", "dec_drop_path")  # what other values than the weights' own may replace
WINDOWS = tuple(f"{half}_{w}window_size" for half in ("enc", "dec") for w in ("", "pretrained_"))


def build_parser() -> argparse.ArgumentParser:
    """Options of the command; names and defaults of the official one where both have an option."""
    parser = Parser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    _add_run_options(parser.add_argument_group("run"))
    _add_data_options(parser.add_argument_group("data"))
    _add_training_options(parser.add_argument_group("training"))
    _add_model_options(parser.add_argument_group("model"))
    return parser


def parse_args(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse and check the command line; raises ValueError."""
    args = build_parser().parse_args(arguments)
    _check_args(args)
    return args


def _add_run_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--output_dir", default="", help="folder for everything that is written; must be named")
    add("--overwrite", type=parse_bool, default=False, help="train into a folder that holds a run")
    add("--eval", type=parse_bool, default=False, help="evaluate --resume instead of training")
    add("--resume", default="", help="checkpoint to go on from, or to evaluate")
    add("--device", default="auto", help="auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N, mps")
    add("--seed", type=int, default=42, help="of weights, sample order and augmentation")
    add("--amp", type=parse_bool, default=False, help="mixed precision")
    add(
        "--amp_dtype",
        choices=sorted(dist.AMP_DTYPES),
        help="default: float16 on CUDA, else bfloat16",
    )
    add("--tf32", type=parse_bool, default=False, help="faster, coarser float32 on NVIDIA GPUs")
    add(
        "--compile",
        type=parse_bool,
        default=False,
        help="train through torch.compile: the first step takes minutes, the others less time",
    )
    add("--print_freq", type=int, default=10, help="steps between log lines")
    add("--tensorboard", type=parse_bool, default=False, help="write TensorBoard event files")
    add("--wandb", type=parse_bool, default=False, help="log to Weights & Biases")


def _add_data_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--data_root",
        default="data",
        help="folder that the roots in data configurations start from",
    )
    add(
        "--data_cfg_paths",
        nargs="+",
        default=[],
        help="data_configs/train/*.yaml to train on jointly",
    )
    add(
        "--val_data_cfg_paths",
        nargs="+",
        default=[],
        help="data_configs/eval/*.yaml for validation",
    )
    add(
        "--eval_data_cfg_path",
        nargs="+",
        default=[],
        help="data_configs/eval/*.yaml for --eval true",
    )
    add(
        "--pix2pix_size",
        type=int,
        help=f"side of the network's input in pixels; default: as --resume was trained, else "
        f"{IMAGE_SIZE}",
    )
    add(
        "--num_workers",
        type=int,
        default=6,
        help="loader processes of each process, at most its cores",
    )
    add(
        "--eval_batch_size",
        type=int,
        default=1,
        help="images at once in evaluation; another number may change last bits",
    )
    add(
        "--textseg_conf_thres",
        type=float,
        default=0.4,
        help="mean of the channels above which a pixel is text",
    )
    add(
        "--visualize",
        type=parse_bool,
        default=False,
        help="write pictures of segmentation and detection",
    )


def _add_training_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--batch_size", type=int, default=8, help="samples a task, process and step")
    add("--epochs", type=int, default=400, help="epochs of --iter_per_epoch steps")
    add("--iter_per_epoch", type=int, default=200, help="steps an epoch")
    add("--lr", type=float, default=5e-4, help="learning rate after the warm-up")
    add("--lr_encoder_ratio", type=float, default=0.1, help="share of it for the encoder")
    add("--warmup_epochs", type=int, default=10, help="epochs of linear warm-up")
    add("--warmup_min_lr", type=float, default=1e-4, help="learning rate of the first epoch")
    add("--min_lr", type=float, default=1e-5, help="lowest learning rate after the warm-up")
    add("--weight_decay", type=float, default=1e-4, help="of AdamW")
    add("--clip_max_norm", type=float, default=0.1, help="gradient norm is clipped to it, 0: not")
    add(
        "--task_weights",
        type=parse_task_weight,
        nargs="+",
        default=[],
        metavar="TASK=FACTOR",
        help="factor of a task's loss, 1 where none is named. From scratch text_removal has by far "
        "the largest gradients, and the others wait for it",
    )
    add("--save_interval", type=int, default=10, help="epochs between checkpoints that are kept")
    add("--eval_interval", type=int, default=10, help="epochs between validations; the last too")
    add(
        "--vgg16_weights",
        default="imagenet",
        help="for the losses of text removal: imagenet, a file, random, or none (no perceptual and "
        "style loss); an official file given by --resume or --pretrained_model brings its own",
    )


def _add_model_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--variant",
        choices=list(VARIANTS),
        help="architecture; default: of the weights, else upocr",
    )
    add(
        "--scratch_init",
        type=parse_bool,
        help="start for training without pre-trained weights; default: upocr_nano only",
    )
    add(
        "--task_prompts",
        type=parse_bool,
        default=True,
        help="false: train without them, to see what they are worth",
    )
    add("--pretrained_model", default="", help="weights of a whole model to start from")
    add(
        "--pretrained_encoder",
        default="",
        help="SwinV2 ImageNet weights (Microsoft's, timm's) or a UPOCR file for the encoder; "
        "norm0 to norm2, which ImageNet files lack, keep their start",
    )
    add("--pretrained_decoder", default="", help="UPOCR file for the decoder")
    for option, name in ARCHITECTURE.items():
        example = VARIANTS["upocr"][name]
        many = isinstance(example, list)
        kind = type(example[0]) if many else type(example)
        add(
            f"--{option}",
            type=kind,
            nargs="+" if many else None,
            help=f"in place of the variant's {name}",
        )
    add(
        "--swin_use_checkpoint",
        type=parse_bool,
        default=False,
        help="recompute blocks in the backward pass: less memory",
    )
    add("--swin_enc_use_checkpoint", type=parse_bool, default=False, help="the same, encoder only")
    add("--swin_dec_use_checkpoint", type=parse_bool, default=False, help="the same, decoder only")


def parse_task_weight(text: str) -> tuple[str, float]:
    """argparse type: `text_removal=0.2` -> ("text_removal", 0.2)."""
    task, _, factor = text.partition("=")
    if task not in TASKS:
        raise argparse.ArgumentTypeError(f"{text!r} names none of {', '.join(TASKS)}")
    try:
        value = float(factor)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected TASK=FACTOR, a factor of 0 or more")
    return task, value


def _check_args(args: argparse.Namespace) -> None:
    if args.eval and not args.resume:
        raise ValueError("--eval true needs a checkpoint: name it with --resume")
    if args.eval and not args.eval_data_cfg_path:
        raise ValueError(
            "--eval true needs data: name data_configs/eval/*.yaml with --eval_data_cfg_path"
        )
    if not args.eval and not args.data_cfg_paths:
        raise ValueError(
            "training needs data: name data_configs/train/*.yaml with --data_cfg_paths"
        )
    if not args.output_dir:
        raise ValueError("name a folder for the results with --output_dir")
    positive = ("batch_size", "eval_batch_size", "epochs", "iter_per_epoch", "print_freq")
    for name in (*positive, "save_interval", "eval_interval"):
        if getattr(args, name) < 1:
            raise ValueError(f"--{name} is {getattr(args, name)}, expected at least 1")
    rates = ("lr", "min_lr", "warmup_min_lr", "lr_encoder_ratio", "weight_decay", "clip_max_norm")
    for name in (*rates, "warmup_epochs", "num_workers", "seed"):
        if not 0 <= getattr(args, name) < float("inf"):
            raise ValueError(f"--{name} is {getattr(args, name)}, expected 0 or more")
    if args.seed > MAX_SEED:
        raise ValueError(f"--seed is {args.seed}, expected at most {MAX_SEED}")
    if not 0 <= args.textseg_conf_thres <= 1:
        raise ValueError(f"--textseg_conf_thres is {args.textseg_conf_thres}, expected 0 to 1")
    size = args.pix2pix_size
    if size is not None and (size < STRIDE or size % STRIDE):
        raise ValueError(f"--pix2pix_size is {size}, expected a positive multiple of {STRIDE}")


def resolve_architecture(args: argparse.Namespace, weights: Checkpoint | None) -> dict[str, Any]:
    """Numbers of the model: of the weights where some are loaded, else of the command line.

    Raises CheckpointError where the command line asks for other numbers than the weights have.
    Stochastic depth is no property of weights: there the command line wins. Nor are windows, as
    positions are continuous (Swin V2, section 3.3), but only a new training may change them.
    """
    chosen = {name: getattr(args, option) for option, name in ARCHITECTURE.items()}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    if weights is None:
        return VARIANTS[args.variant or "upocr"] | chosen
    free = FREE if args.resume else FREE + WINDOWS
    asked = VARIANTS.get(args.variant, {}) | chosen
    for name in asked.keys() - set(free):
        value = asked[name]
        if weights.architecture[name] != value:
            raise CheckpointError(
                f"{weights.path}: of another architecture: {name} {weights.architecture[name]}, "
                f"the command line asks for {value}"
            )
    return weights.architecture | chosen


def build_model(args: argparse.Namespace, weights: Checkpoint | None) -> UPOCR:
    """The model with the weights that the command line names."""
    architecture = resolve_architecture(args, weights)
    if weights is not None:
        model = build_from_checkpoint(dataclasses.replace(weights, architecture=architecture))
    else:
        variant = args.variant or "upocr"
        model = build_upocr(variant, scratch_init=args.scratch_init, **architecture)
    if args.pretrained_encoder and not args.resume:
        load_pretrained_encoder(model, args.pretrained_encoder)
    if args.pretrained_decoder and not args.resume:
        load_pretrained_decoder(model, args.pretrained_decoder)
    if not args.task_prompts:
        model.task_prompt.silence()
    everywhere = args.swin_use_checkpoint
    model.set_grad_checkpointing(
        encoder=everywhere or args.swin_enc_use_checkpoint,
        decoder=everywhere or args.swin_dec_use_checkpoint,
    )
    return model


def mixed_precision(args: argparse.Namespace, device: torch.device) -> torch.dtype | None:
    """Type of mixed precision, None for none; warns where it does not pay."""
    if not args.amp:
        return None
    if dist.bfloat16_is_slow(device) and dist.is_main_process():
        logger.warning("this CPU has no bfloat16 instructions: --amp true will be slower")
    return dist.amp_dtype(device, args.amp_dtype)


def build_training_criterion(args: argparse.Namespace, *files: Checkpoint | None) -> nn.Module:
    """The criterion with the VGG16 weights that the command line or one of the files brings."""
    task_weights = dict(args.task_weights)
    if args.vgg16_weights == "imagenet":
        for file in files:
            if file is not None and file.vgg16:
                vgg16 = vgg16_from_state(file.vgg16, str(file.path))
                return build_criterion(vgg16, task_weights)
    return build_criterion(build_vgg16(args.vgg16_weights), task_weights)


class Trainer:
    """Everything a training run holds, wired from the command line.

    Args:
        args: the parsed command line.
        device: of this process.
    """

    def __init__(self, args: argparse.Namespace, device: torch.device) -> None:
        self.args, self.device = args, device
        self.output_dir = prepare_output_dir(args)
        resume = load_checkpoint(args.resume) if args.resume else None
        self.image_size = _image_size(args, resume)
        self.validation = _datasets(args, args.val_data_cfg_paths, self.image_size)
        self.loader = MultiTaskLoader(
            [build_dataset(p, self.image_size, args.data_root) for p in args.data_cfg_paths],
            args.batch_size,
            seed=args.seed,
            num_workers=_num_workers(args),
            rank=dist.rank(),
            world_size=dist.world_size(),
            pin_memory=dist.pins_memory(device),
        )
        pretrained = load_checkpoint(args.pretrained_model) if args.pretrained_model else None
        torch.manual_seed(args.seed)  # the same weights in every process
        self.model = build_model(args, resume or pretrained).to(device)
        self.criterion = build_training_criterion(args, resume, pretrained).to(device)
        self.amp_dtype = mixed_precision(args, device)
        self.optimizer = build_optimizer(
            self.model, args.lr, args.lr_encoder_ratio, args.weight_decay
        )
        scaled = self.amp_dtype == torch.float16
        self.scaler = torch.amp.GradScaler(device.type, enabled=scaled)
        self.best: dict[str, float] = {}
        self.start_epoch = 0
        torch.manual_seed(args.seed + dist.rank())  # each process drops other paths
        if resume is not None:
            self._restore(resume)
        self.network = dist.wrap_model(self.model, device, args.compile)
        config = {**vars(args), "device": str(device), "pix2pix_size": self.image_size}
        config["architecture"] = self.model.architecture
        if args.overwrite and not args.resume:
            self._remove_old_run()
        self.log = RunLog(self.output_dir, config, self.start_epoch, args.tensorboard, args.wandb)

    def _remove_old_run(self) -> None:
        """What `--overwrite true` allows: no file of the old run passes for one of the new."""
        if dist.is_main_process():
            for path in self.output_dir.glob("checkpoint_*.pth"):
                path.unlink()

    def _restore(self, checkpoint: Checkpoint) -> None:
        """Continue where `checkpoint` was written; a file of bare weights starts at epoch 0."""
        if "optimizer" not in checkpoint.training:
            logger.warning("%s: only weights, no state of a training", checkpoint.path)
        try:
            self._restore_state(checkpoint.training)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(f"{checkpoint.path}: state of training: {reason}") from None

    def _restore_state(self, state: dict[str, Any]) -> None:
        if "optimizer" in state:
            load_optimizer(self.optimizer, state["optimizer"])
        if state.get("scaler") and self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        self.start_epoch = state.get("epoch", -1) + 1
        steps = self.start_epoch * self.args.iter_per_epoch
        position = steps * self.args.batch_size * dist.world_size()
        official = {"step": steps, "position": position}  # files of others do not tell
        self.loader.load_state_dict(state.get("loader", official))
        self.best = dict(state.get("best", {}))
        if dist.rank() < len(state.get("rng", [])):
            dist.set_rng_state(state["rng"][dist.rank()], self.device)

    def run(self) -> None:
        """Train to the last epoch."""
        args = self.args
        if self.start_epoch >= args.epochs:
            logger.info("%s has all %d epochs already", args.resume, args.epochs)
        batches = map(vars, self.loader)
        for epoch in range(self.start_epoch, args.epochs):
            schedule = (args.lr, args.min_lr, args.warmup_epochs, args.warmup_min_lr)
            set_lr(self.optimizer, learning_rate(epoch, args.epochs, *schedule))
            losses = self._train_epoch(batches, epoch)
            record = {"lr": self.optimizer.param_groups[0]["lr"], "train": losses}
            improved: list[str] = []
            last = epoch + 1 == args.epochs
            if self.validation and (last or (epoch + 1) % args.eval_interval == 0):
                record["val"], improved = self._validate()
            self._save(epoch, improved)
            self.log.write(epoch, record)

    def _train_epoch(self, batches, epoch: int) -> dict[str, float]:
        try:
            return train_one_epoch(
                self.network,
                self.criterion,
                batches,
                self.optimizer,
                self.scaler,
                device=self.device,
                amp_dtype=self.amp_dtype,
                epoch=epoch,
                epochs=self.args.epochs,
                iterations=self.args.iter_per_epoch,
                clip_max_norm=self.args.clip_max_norm,
                print_freq=self.args.print_freq,
            )
        except DivergenceError as error:
            last = self.output_dir / LAST
            good = last if last.exists() else self.args.resume or "none"
            raise ValueError(f"{error}; last good checkpoint: {good}") from None

    def _validate(self) -> tuple[dict[str, Any], list[str]]:
        """Metrics a data set, and the tasks whose score has improved."""
        results: dict[str, Any] = {}
        scores: dict[str, list[float]] = {}
        for dataset in self.validation:
            folder = self.output_dir / "validation"
            found, score = run_evaluation(
                self.args, self.model, dataset, folder, self.device, self.amp_dtype
            )
            logger.info("%s: %s", dataset.name, json.dumps(found))
            results[dataset.name] = found
            if score is not None:
                scores.setdefault(dataset.task, []).append(score)
        means = {task: sum(values) / len(values) for task, values in scores.items()}
        improved = [t for t, mean in means.items() if mean > self.best.get(t, float("-inf"))]
        self.best |= {task: means[task] for task in improved}
        return results, improved

    def _save(self, epoch: int, improved: list[str]) -> None:
        rng = dist.all_gather_objects(dist.rng_state(self.device))
        if not dist.is_main_process():
            return
        names = [LAST, *(f"checkpoint_best_{task}.pth" for task in improved)]
        if (epoch + 1) % self.args.save_interval == 0 or epoch + 1 == self.args.epochs:
            names.append(f"checkpoint_{epoch + 1:04d}.pth")
        content = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "epoch": epoch,  # the last finished one, counted from 0
            "loader": self.loader.state_dict(),
            "rng": rng,
            "best": self.best,
            "architecture": self.model.architecture,
            "tasks": list(TASKS),
            "image_size": self.image_size,
        }
        save_atomically(content, [self.output_dir / name for name in names])


def prepare_output_dir(args: argparse.Namespace) -> Path:
    """Make the folder; refuse to train over checkpoints that `--resume` does not go on from."""
    folder = Path(args.output_dir)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--output_dir {folder} is a file, expected a folder")
    if not args.eval:
        _protect_checkpoints(args, folder)
    dist.barrier()  # nobody makes the file while another still looks for it
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _protect_checkpoints(args: argparse.Namespace, folder: Path) -> None:
    """Refuse to mix two runs, and to remove a file that the new one is to begin with."""
    found = sorted(folder.glob("checkpoint_*.pth"))
    if args.overwrite:
        for path in (args.pretrained_model, args.pretrained_encoder, args.pretrained_decoder):
            if not args.resume and any(_is_same(path, other) for other in found):
                raise ValueError(f"--overwrite true would remove {path}, move it elsewhere")
        return
    last = folder / LAST
    kept = [last] if last in found else found
    if kept and not any(_is_same(args.resume, path) for path in kept):
        raise ValueError(
            f"{kept[0]} is there already: go on with --resume {kept[0]}, "
            "or write over it with --overwrite true"
        )


def _is_same(path: str, other: Path) -> bool:
    return os.path.exists(path) and other.samefile(path)


def _num_workers(args: argparse.Namespace) -> int:
    return min(args.num_workers, os.cpu_count() or 1)  # batches do not depend on it


def _image_size(args: argparse.Namespace, resume: Checkpoint | None) -> int:
    return args.pix2pix_size or (resume.image_size if resume else IMAGE_SIZE)


def _datasets(args: argparse.Namespace, configs: list[str], image_size: int) -> list[TextDataset]:
    """Data sets to evaluate; raises ValueError where two would write to one folder."""
    datasets = [build_dataset(path, image_size, args.data_root) for path in configs]
    names = [dataset.name for dataset in datasets]
    for path, name in zip(configs, names, strict=True):
        if names.count(name) > 1:
            raise ValueError(f"{path}: another data set is named {name!r} too")
    return datasets


def run_evaluation(
    args: argparse.Namespace,
    model: UPOCR,
    dataset: TextDataset,
    output_dir: Path,
    device: torch.device,
    amp_dtype: torch.dtype | None,
) -> tuple[dict[str, Any], float | None]:
    """Evaluate one data set; returns its metrics and, if it has labels, one score to maximise."""
    loader = evaluation_loader(
        dataset, args.eval_batch_size, _num_workers(args), dist.rank(), dist.world_size()
    )
    options = EvaluationOptions(args.visualize, args.textseg_conf_thres)
    evaluator = build_evaluator(dataset.task, dataset.name, output_dir, options)
    found = evaluate(
        model, loader, evaluator, device=device, amp_dtype=amp_dtype, num_images=len(dataset)
    )
    return found, evaluator.score(found)


def evaluate_checkpoint(args: argparse.Namespace, device: torch.device) -> None:
    """Evaluate `--resume` on every data set of the command line and write `metrics.json`."""
    output_dir = prepare_output_dir(args)
    path = output_dir / METRICS
    metrics = read_metrics(path) if path.exists() else {}
    checkpoint = load_checkpoint(args.resume)
    model = build_model(args, checkpoint).to(device)
    amp_dtype = mixed_precision(args, device)
    image_size = _image_size(args, checkpoint)
    for dataset in _datasets(args, args.eval_data_cfg_path, image_size):
        found, _ = run_evaluation(args, model, dataset, output_dir, device, amp_dtype)
        record = {"task": dataset.task, "checkpoint": args.resume, "image_size": image_size}
        record |= found
        logger.info("%s\n%s", dataset.name, json.dumps(record, indent=2))
        metrics[dataset.name] = record
        if dist.is_main_process():
            write_json(path, metrics)


def main() -> None:
    """Parse the command line, join the processes, train or evaluate."""
    args = parse_args()
    device = dist.select_device(args.device)
    try:
        dist.init_process_group(device)
        setup_logging()
        if args.tf32:
            dist.allow_tf32()
        if args.eval:
            evaluate_checkpoint(args, device)
        else:
            if device.type == "cpu":
                keep_freed_memory()
            Trainer(args, device).run()
    except RuntimeError as error:
        if dist.is_peer_failure(error):
            raise ValueError("lost another process, see its message") from None
        raise
    finally:
        dist.destroy_process_group()


if __name__ == "__main__":
    run(main)
