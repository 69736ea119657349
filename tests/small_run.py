"""A run of main.py that takes seconds: a very small network on the small data set."""

import argparse
import subprocess
import sys
from pathlib import Path

import torch
from vectors import TESTS, reference_parameter

ROOT = TESTS.parent
DATA = TESTS / "data"
TRAIN = [f"data_configs/train/{name}.yaml" for name in ("scut-enstext", "tampered-ic13", "textseg")]
EVAL = [path.replace("train", "eval") for path in TRAIN]
NAMES = ["SCUT-EnsText", "Tampered-IC13", "TextSeg"]
SMALL = [
    *("--swin_enc_embed_dim", "8", "--swin_enc_depths", "1", "1", "1", "1"),
    *("--swin_enc_num_heads", "1", "1", "2", "2", "--swin_dec_num_heads", "2", "2", "1", "1", "1"),
    *("--swin_dec_depths", "1", "1", "1", "1", "1", "--swin_enc_window_size", "4"),
]
COMMON = ["--device", "cpu", "--num_workers", "0"]
TRAINING = [
    *(*COMMON, *SMALL, "--pix2pix_size", "64", "--data_cfg_paths", *TRAIN),
    *("--vgg16_weights", "random", "--scratch_init", "true"),
    *("--batch_size", "1", "--iter_per_epoch", "2", "--print_freq", "1"),
]


def torchrun(processes: int, *arguments: object) -> subprocess.CompletedProcess:
    """Run main.py in several processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
    command = [sys.executable, *launcher, "main.py", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def official_checkpoint(path: Path, keys: dict[str, list], **extra: object) -> None:
    """A file as the authors' training writes it, for the reference's tiny architecture."""
    state = {}
    for name, (shape, dtype) in keys.items():
        if dtype == "int64":
            state[name] = torch.zeros(shape, dtype=torch.int64)
        else:
            state[name] = reference_parameter(name, tuple(shape))
    for name in state:  # the derived table tells the windows, so it must be a true one
        if name.endswith("relative_coords_table"):
            side = (len(state[name][0]) + 1) // 2
            span = torch.arange(-(side - 1), side) / (side - 1) * 8
            grid = torch.stack(torch.meshgrid(span, span, indexing="ij"), -1)[None]
            state[name] = grid.sign() * torch.log2(grid.abs() + 1) / 3
    options = argparse.Namespace(swin_enc_drop_path_rate=0.1, swin_dec_window_size=8, lr=5e-4)
    torch.save({"model": state, "args": options, "epoch": 7, **extra}, path)
