"""A training run and an evaluation run: wiring, resuming, validation, checkpoints."""

import logging
import os
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import startup
from datasets import MultiTaskLoader, TextDataset, build_dataset, evaluation_loader
from engine import evaluate, task_gap, train_one_epoch, weights_are_sound
from eval import EvaluationOptions, build_evaluator, report
from eval.pictures import draw_samples
from eval.records import METRICS, read_metrics
from models import (
    VARIANTS,
    UPOCRNetwork,
    build_criterion,
    build_upocr,
    build_vgg16,
    vgg16_from_state,
)
from models.checkpoint import (
    BEST,
    IMAGE_SIZE,
    KEPT,
    LAST,
    Checkpoint,
    build_from_checkpoint,
    load_checkpoint,
    load_pretrained_decoder,
    load_pretrained_encoder,
    save_atomically,
    saved_in,
)
from models.criterion import needs_vgg16
from models.fast import (
    checkpoint_blocks,
    features_channels_last,
    for_inference,
    for_training,
)
from models.vgg import VGG16Features
from options import Options
from resuming import note_saved
from upocr.download import Downloads
from utils import dist, termination
from utils.batch import to_unit
from utils.files import write_json
from utils.image import read_rgb
from utils.logger import SCALER_PATIENCE, DivergenceError, RunLog, StepLog
from utils.memory import keep_freed_memory
from utils.optim import build_optimizer, learning_rate, load_optimizer, set_lr
from utils.tracking import build_trackers, flat_numbers
from utils.weights import CheckpointError

logger = logging.getLogger(__name__)

SAMPLES = 4  # images of each validation set that are drawn
# Numbers of the architecture that may differ from those of the weights: stochastic depth always,
# and windows in a new training, as positions are continuous (Swin V2, section 3.3).
FREE = ("enc_drop_path", "dec_drop_path")
WINDOWS = tuple(f"{half}_{w}window_size" for half in ("enc", "dec") for w in ("", "pretrained_"))


class Trainer:
    """A training run.

    Args:
        options: of the run.
        device: of this process.
        resume: the checkpoint to continue from, if any.
    """

    def __init__(self, options: Options, device: torch.device, resume: Checkpoint | None) -> None:
        if device.type == "cpu":
            keep_freed_memory()
        self.options, self.device = options, device
        run, data, optimisation = options.run, options.data, options.optimisation
        self.output_dir = prepare_output_dir(options)
        self.image_size = data.pix2pix_size or (resume.image_size if resume else IMAGE_SIZE)
        self.validation = build_datasets(options, data.val_data_cfg_paths, self.image_size)
        self.loader = MultiTaskLoader(
            [build_dataset(p, self.image_size, data.data_root) for p in data.data_cfg_paths],
            optimisation.batch_size,
            seed=run.seed,
            num_workers=options.data.processes(),
            rank=dist.rank(),
            world_size=dist.world_size(),
            pin_memory=dist.pins_memory(device),
            timeout=run.timeout,
        )
        tasks = tuple(dict.fromkeys(dataset.task for dataset in self.loader.datasets))
        torch.manual_seed(run.seed)  # the same weights in every process
        self.model = build_model(options, tasks, resume).to(device)
        vgg16 = load_vgg16(options, tasks, resume)
        criterion = build_criterion(
            tasks, vgg16, optimisation.task_weights, optimisation.image_losses
        )
        self.criterion = features_channels_last(criterion.to(device))
        self.amp_dtype = mixed_precision(options, device)
        self.optimizer = build_optimizer(
            self.model, optimisation.lr, optimisation.lr_encoder_ratio, optimisation.weight_decay
        )
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.amp_dtype == torch.float16)
        self.best: dict[str, float] = {}
        self.start_epoch = 0
        self._progress: dict[str, Any] = {}  # within the first epoch, see `StepLog.state_dict`
        self._has_begun = self._leaves = False
        torch.manual_seed(run.seed + dist.rank())  # stochastic depth differs between processes
        if resume is not None:
            self._restore(resume)
        self.network = dist.wrap_model(for_training(self.model), device, run.compile)
        self.trackers = build_trackers(
            self.output_dir,
            self._config(),
            self._step(),
            tensorboard=run.tensorboard,
            wandb=run.wandb,
        )
        self.log = RunLog(self.output_dir, self._config(), self.start_epoch)
        self._introduce()

    def _introduce(self) -> None:
        datasets = self.loader.datasets, self.validation
        for line in startup.summary(
            self.options,
            self.device,
            self.amp_dtype,
            self.model,
            self.model.tasks,
            *datasets,
            image_size=self.image_size,
            start_epoch=self.start_epoch,
        ):
            logger.info(line)
        if dist.is_main_process():
            for line in startup.warnings(self.options, *datasets):
                logger.warning("warning: %s", line)

    def _config(self) -> dict[str, Any]:
        resolved = {
            "device": str(self.device),
            "processes": dist.world_size(),
            "tasks": list(self.model.tasks),
            "image_size": self.image_size,
            "architecture": self.model.architecture,
        }
        return self.options.to_dict() | {"resolved": resolved}

    def _begin(self, log: StepLog) -> None:
        """Replace the files of an earlier run, now that the first step has succeeded."""
        self._has_begun = True
        run = self.options.run
        if run.overwrite and not run.resume:
            self._check_weights(log.epoch, log.step - 1)
        self.log.begin()
        if run.overwrite and not run.resume and dist.is_main_process():
            for path in saved_in(self.output_dir):
                path.unlink()

    def _restore(self, checkpoint: Checkpoint) -> None:
        """Continue after `checkpoint`; a file of bare weights starts at epoch 0."""
        if "optimizer" not in checkpoint.training and dist.is_main_process():
            logger.warning("%s: weights only, no training state", checkpoint.path)
        try:
            self._restore_state(checkpoint.training)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise CheckpointError(f"{checkpoint.path}: training state: {reason}") from None

    def _restore_state(self, state: dict[str, Any]) -> None:
        if "optimizer" in state:
            load_optimizer(self.optimizer, state["optimizer"])
        if state.get("scaler") and self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        self.start_epoch = state.get("epoch", -1) + 1
        self._progress = state.get("progress", {})
        if self._progress:  # refused now rather than after the start
            self._step_log(self.start_epoch)
        optimisation = self.options.optimisation
        steps = self.start_epoch * optimisation.iter_per_epoch
        position = steps * optimisation.batch_size * dist.world_size()
        official = {"step": steps, "position": position}  # official files do not record it
        self.loader.load_state_dict(state.get("loader", official))
        self.best = {str(task): float(score) for task, score in state.get("best", {}).items()}
        if dist.rank() < len(state.get("rng", [])):
            dist.set_rng_state(state["rng"][dist.rank()], self.device)

    def _step(self) -> int:
        """Steps of the whole training so far."""
        return self.loader.state_dict()["step"]

    def _track(self, numbers: dict[str, float]) -> None:
        for tracker in self.trackers:
            tracker.numbers(numbers, self._step())

    def run(self) -> None:
        """Train to the last epoch; an interruption says how to go on.

        After SIGTERM, the state is saved and the process exits, see `utils.termination`.
        """
        try:
            with termination.postponed():
                self._run()
        except (KeyboardInterrupt, SystemExit):
            if (self.output_dir / LAST).exists():
                logger.info("continue with --resume %s", self.output_dir / LAST)
            raise
        finally:
            for tracker in self.trackers:
                tracker.close()

    def _run(self) -> None:
        optimisation = self.options.optimisation
        epochs = optimisation.epochs
        if self.start_epoch >= epochs:
            message = "%s has completed all %d epochs; --epochs adds more"
            logger.info(message, self.options.run.resume, epochs)
            return
        batches = iter(self.loader)
        if optimisation.validate_first and self.start_epoch == 0 and not self._progress:
            self._validate()
        for epoch in range(self.start_epoch, epochs):
            lr = learning_rate(
                epoch,
                epochs,
                optimisation.lr,
                optimisation.min_lr,
                optimisation.warmup_epochs,
                optimisation.warmup_min_lr,
            )
            set_lr(self.optimizer, lr)
            record: dict[str, Any] = {"lr": lr, "train": self._train_epoch(batches, epoch)}
            self._check_weights(epoch, optimisation.iter_per_epoch - 1)
            record |= self._task_gap()
            improved: list[str] = []
            if self._validates_after(epoch):
                record["val"], means = self._validate()
                improved = self._keep_best(means)
                self.best |= {task: means[task] for task in improved}
            self._save(epoch, improved)
            self.log.write(epoch, record)
        self._conclude()

    def _validates_after(self, epoch: int) -> bool:
        optimisation = self.options.optimisation
        return bool(self.validation) and _is_due(
            epoch, optimisation.eval_interval, optimisation.epochs
        )

    def _conclude(self) -> None:
        """Say where the weights are, and how to use them."""
        for task, score in sorted(self.best.items()):
            path = self.output_dir / BEST.format(task)
            if path.exists():  # not if the run was resumed in another folder
                logger.info("best %s: %.4g in %s", task, score, path)
        last = self.output_dir / LAST
        logger.info("last weights: %s", last)
        command = "python predict.py IMAGE --task all --weights %s --output_dir out"
        logger.info("own images:   " + command, last)

    def _step_log(self, epoch: int) -> StepLog:
        optimisation = self.options.optimisation
        log = StepLog(
            epoch,
            optimisation.epochs,
            optimisation.iter_per_epoch,
            self.options.run.print_freq,
            self.optimizer,
            self.device,
            patience=SCALER_PATIENCE if self.scaler.is_enabled() else 0,
            report=self._track,
            pauses=lambda step: self._pauses(epoch, step),
        )
        if self._progress and epoch == self.start_epoch:
            log.load_state_dict(self._progress)
        return log

    def _train_epoch(self, batches: Any, epoch: int) -> dict[str, float]:
        log = self._step_log(epoch)
        try:
            while not log.is_complete():
                train_one_epoch(
                    self.network,
                    self.criterion,
                    batches,
                    self.optimizer,
                    self.scaler,
                    log,
                    device=self.device,
                    amp_dtype=self.amp_dtype,
                    clip_max_norm=self.options.optimisation.clip_max_norm,
                )
                self._pause(log)
        except DivergenceError as error:
            raise ValueError(f"{error}; {self._last_good()}") from None
        if not self._has_begun:  # resumed before the validation
            self._begin(log)
        return log.means()

    def _pauses(self, epoch: int, step: int) -> bool:
        """Whether something is to be done after `step` steps of an epoch, in every process."""
        self._leaves = dist.any_process(termination.requested())
        return self._leaves or not self._has_begun or self._is_save_point(epoch, step)

    def _is_save_point(self, epoch: int, step: int) -> bool:
        """Whether a state is saved within the epoch, or before its validation, which may be long.

        At the end of all other epochs, the epoch is saved itself.
        """
        optimisation = self.options.optimisation
        if step >= optimisation.iter_per_epoch:
            return self._validates_after(epoch)
        total = epoch * optimisation.iter_per_epoch + step
        return bool(optimisation.save_steps) and total % optimisation.save_steps == 0

    def _pause(self, log: StepLog) -> None:
        if not self._has_begun:
            self._begin(log)
        if self._leaves or self._is_save_point(log.epoch, log.step):
            self._check_weights(log.epoch, log.step - 1)
            self._save(log.epoch - 1, progress=log.state_dict())
        if self._leaves:
            logger.info("SIGTERM: saved epoch %d up to step %d", log.epoch + 1, log.step)
            raise SystemExit(termination.EXIT_CODE)

    def _last_good(self) -> str:
        last = self.output_dir / LAST
        return (
            f"last good checkpoint: {last if last.exists() else self.options.run.resume or 'none'}"
        )

    @cached_property
    def _example(self) -> Tensor:
        """The first training image, (1, 3, S, S): the same in every epoch."""
        sample = self.loader.datasets[0][0, self.options.run.seed]
        return to_unit(sample["image"][None], self.device)

    def _check_weights(self, epoch: int, step: int) -> None:
        """Raise ValueError if the last update has destroyed the weights, which are not saved then.

        Losses tell only of the weights before an update, and weights may be finite but so large
        that no output is.
        """
        if weights_are_sound(self.model.eval(), self._example, self.model.tasks[0]):
            return
        raise ValueError(
            f"the update at epoch {epoch + 1}, step {step + 1} left weights that are not finite or "
            f"give outputs that are not, and is not saved; {self._last_good()}"
        )

    def _task_gap(self) -> dict[str, float]:
        """The gap between the tasks on the first training image, the same in every epoch."""
        if len(self.model.tasks) < 2:
            return {}
        gap = task_gap(self.model.eval(), self._example, self.model.tasks)
        logger.info("task_gap %.4f", gap)
        self._track({"task_gap": gap})
        return {"task_gap": gap}

    def _validate(self) -> tuple[dict[str, Any], dict[str, float]]:
        """Metrics per data set, and the mean score per task."""
        model = for_inference(self.model, self.amp_dtype or torch.float32)
        results: dict[str, Any] = {}
        scores: dict[str, list[float]] = {}
        for dataset in self.validation:
            folder = self.output_dir / "validation"
            with termination.at_once():  # the state before the validation has been saved
                found, score = run_evaluation(
                    self.options, model, dataset, folder, self.device, self.amp_dtype
                )
                self._show(model, dataset, folder / f"{dataset.name}_sheet.png")
            for line in report(dataset.task, dataset.name, found):
                logger.info(line)
            results[dataset.name] = found
            if score is not None:
                scores.setdefault(dataset.task, []).append(score)
        self._track(flat_numbers({"val": results}))
        return results, {task: sum(values) / len(values) for task, values in scores.items()}

    def _show(self, model: nn.Module, dataset: TextDataset, sheet: Path) -> None:
        """Draw some samples of a validation set, for people and for the trackers."""
        if not dist.is_main_process():
            return
        draw_samples(model, dataset, sheet, SAMPLES, device=self.device, amp_dtype=self.amp_dtype)
        for tracker in self.trackers:
            tracker.picture(f"val/{dataset.name}", np.asarray(read_rgb(sheet)), self._step())

    def _keep_best(self, means: dict[str, float]) -> list[str]:
        """The tasks whose score has improved."""
        improved = [t for t, mean in means.items() if mean > self.best.get(t, float("-inf"))]
        for task in improved:
            before = f", before {self.best[task]:.4g}" if task in self.best else ""
            logger.info("new best of %s: %.4g%s", task, means[task], before)
        return improved

    def _save(
        self, epoch: int, improved: Sequence[str] = (), progress: dict[str, Any] | None = None
    ) -> None:
        """Save the state after `epoch`, or within the one after it if there is `progress`."""
        rng = dist.all_gather_objects(dist.rng_state(self.device))
        if not dist.is_main_process():
            return
        names = [LAST, *(BEST.format(task) for task in improved)]
        optimisation = self.options.optimisation
        if progress is None and _is_due(epoch, optimisation.save_interval, optimisation.epochs):
            names.append(KEPT.format(epoch + 1))
        content = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "epoch": epoch,  # the last finished one, counted from 0
            "loader": self.loader.state_dict(),
            "rng": rng,
            "best": self.best,
            "architecture": self.model.architecture,
            "tasks": list(self.model.tasks),
            "image_size": self.image_size,
            "options": self.options.to_dict(),
        }
        if progress is not None:
            content["progress"] = progress
        save_atomically(content, [self.output_dir / name for name in names])
        note_saved(self.output_dir)
        self._delete_kept(epoch)

    def _delete_kept(self, epoch: int) -> None:
        """Delete all but the last `--keep_last` of the kept checkpoints up to `epoch`."""
        found = sorted(
            (int(match[1]), path)
            for path in saved_in(self.output_dir)
            if (match := re.fullmatch(r"checkpoint_(\d{4,})\.pth", path.name))
        )
        number = self.options.optimisation.keep_last
        kept = [path for finished, path in found if finished <= epoch + 1]
        for path in kept[:-number] if number else []:
            if not _is_same(self.options.model.pretrained_model, path):
                path.unlink()


def evaluate_checkpoint(options: Options, device: torch.device, checkpoint: Checkpoint) -> None:
    """Evaluate a checkpoint on every data set of `options` and write `metrics.json`."""
    output_dir = prepare_output_dir(options)
    path = output_dir / METRICS
    metrics = read_metrics(path) if path.exists() else {}
    image_size = options.data.pix2pix_size or checkpoint.image_size
    datasets = build_datasets(options, options.data.eval_data_cfg_path, image_size)
    amp_dtype = mixed_precision(options, device)
    model = build_model(options, [dataset.task for dataset in datasets], checkpoint).to(device)
    fast = for_inference(model, amp_dtype or torch.float32)
    for dataset in datasets:
        found, _ = run_evaluation(options, fast, dataset, output_dir, device, amp_dtype)
        record = {
            "task": dataset.task,
            "checkpoint": options.run.resume,
            "image_size": image_size,
            **found,
        }
        for line in report(dataset.task, dataset.name, found):
            logger.info(line)
        metrics[dataset.name] = record
        if dist.is_main_process():
            write_json(path, metrics)
    logger.info("all figures: %s", path)


def run_evaluation(
    options: Options,
    model: nn.Module,
    dataset: TextDataset,
    output_dir: Path,
    device: torch.device,
    amp_dtype: torch.dtype | None,
) -> tuple[dict[str, Any], float | None]:
    """Evaluate one data set; returns its metrics and, if it has labels, one score to maximise."""
    loader = evaluation_loader(
        dataset,
        options.data.eval_batch_size,
        options.data.processes(),
        dist.rank(),
        dist.world_size(),
        options.run.timeout,
    )
    evaluation = EvaluationOptions(options.data.visualize, options.data.textseg_conf_thres)
    evaluator = build_evaluator(dataset.task, dataset.name, output_dir, evaluation)
    found = evaluate(
        model, loader, evaluator, device=device, amp_dtype=amp_dtype, num_images=len(dataset)
    )
    return found, evaluator.score(found)


def resolve_architecture(options: Options, weights: Checkpoint | None) -> dict[str, Any]:
    """Numbers of the model: those of the weights, if any, else those of the options.

    Raises CheckpointError if the options contradict the weights, see `FREE` and `WINDOWS`.
    """
    chosen = options.model.numbers()
    if weights is None:
        return VARIANTS[options.model.variant or "upocr"] | chosen
    free = FREE if options.run.resume else FREE + WINDOWS
    asked = VARIANTS[options.model.variant] | chosen if options.model.variant else chosen
    for name in asked.keys() - set(free):
        if weights.architecture[name] != asked[name]:
            raise CheckpointError(
                f"{weights.path}: its architecture has {name} {weights.architecture[name]}, the "
                f"options ask for {asked[name]}"
            )
    return weights.architecture | chosen


def build_model(options: Options, tasks: Sequence[str], resume: Checkpoint | None) -> UPOCRNetwork:
    """The model for `tasks` with the weights that the options name, or those of `resume`."""
    chosen = options.model
    weights = resume
    if weights is None and chosen.pretrained_model:
        weights = load_checkpoint(chosen.pretrained_model)
    architecture = resolve_architecture(options, weights)
    if resume is not None:
        for task in tasks:
            resume.require(task)
        model = build_from_checkpoint(resume, **architecture)
    elif weights is not None:
        model = build_from_checkpoint(weights, tasks, **architecture)
    else:
        variant = chosen.variant or "upocr"
        model = build_upocr(variant, tasks, chosen.scratch_init, **architecture)
    if resume is None and chosen.pretrained_encoder:
        load_pretrained_encoder(model, chosen.pretrained_encoder)
    if resume is None and chosen.pretrained_decoder:
        load_pretrained_decoder(model, chosen.pretrained_decoder)
    if not chosen.task_prompts:
        model.task_prompt.silence()
    checkpoint_blocks(
        model,
        encoder=chosen.swin_use_checkpoint or chosen.swin_enc_use_checkpoint,
        decoder=chosen.swin_use_checkpoint or chosen.swin_dec_use_checkpoint,
    )
    return model


def load_vgg16(
    options: Options, tasks: Sequence[str], resume: Checkpoint | None
) -> VGG16Features | None:
    """VGG16 for the losses of `tasks`, None if none of them needs it.

    Official training checkpoints bring their own.
    """
    if not needs_vgg16(tasks):
        return None
    source = options.optimisation.vgg16_weights
    if source == "imagenet":
        if resume is not None and resume.vgg16:
            return vgg16_from_state(resume.vgg16, str(resume.path))
        if options.model.pretrained_model:
            file = load_checkpoint(options.model.pretrained_model)
            if file.vgg16:
                return vgg16_from_state(file.vgg16, str(file.path))
    return build_vgg16(source, Downloads(options.run.download_timeout))


def mixed_precision(options: Options, device: torch.device) -> torch.dtype | None:
    """Data type of mixed precision, None for none; warns where it costs time."""
    if not options.run.amp:
        return None
    if dist.bfloat16_is_slow(device) and dist.is_main_process():
        logger.warning("this CPU has no bfloat16 instructions: --amp true slows it down")
    return dist.amp_dtype(device, options.run.amp_dtype)


def build_datasets(options: Options, configs: Sequence[str], image_size: int) -> list[TextDataset]:
    """Data sets to evaluate; raises ValueError if two would write to one folder."""
    datasets = [build_dataset(path, image_size, options.data.data_root) for path in configs]
    names = [dataset.name for dataset in datasets]
    for path, name in zip(configs, names, strict=True):
        if names.count(name) > 1:
            raise ValueError(f"{path}: another data set is named {name!r} too")
    return datasets


def _is_due(epoch: int, interval: int, epochs: int) -> bool:
    return (epoch + 1) % interval == 0 or epoch + 1 == epochs


def prepare_output_dir(options: Options) -> Path:
    """Create the folder; refuse to train over checkpoints that `--resume` does not continue."""
    folder = Path(options.run.output_dir)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--output_dir {folder} is a file, expected a folder")
    if not options.run.eval:
        _protect_checkpoints(options, folder)
    dist.barrier()  # no process creates the folder while another still inspects it
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _protect_checkpoints(options: Options, folder: Path) -> None:
    """Refuse to mix two runs, and to delete a file that the new run starts from."""
    run, model = options.run, options.model
    found = saved_in(folder)
    if run.overwrite:
        for path in (model.pretrained_model, model.pretrained_encoder, model.pretrained_decoder):
            if not run.resume and any(_is_same(path, other) for other in found):
                raise ValueError(f"--overwrite true would delete {path}, move it elsewhere")
        return
    last = folder / LAST
    may_be_old = any(_is_same(run.resume, path) for path in found) and not _is_whole(last)
    kept = [last] if last in found and not may_be_old else found
    if kept and not any(_is_same(run.resume, path) for path in kept):
        raise ValueError(
            f"{kept[0]} exists: continue with --resume auto or --resume {kept[0]}, or replace it "
            "with --overwrite true"
        )


def _is_whole(path: Path) -> bool:
    try:
        load_checkpoint(path)
    except CheckpointError:
        return False
    return True


def _is_same(path: str, other: Path) -> bool:
    return os.path.exists(path) and other.samefile(path)
