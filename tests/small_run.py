"""A run of main.py that takes seconds: a very small network on the small data set."""

import subprocess
import sys

from vectors import TESTS

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
