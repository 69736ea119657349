"""The same code on a GPU: skipped without one."""

import pytest
import torch
from small_run import DATA, EVAL, TRAINING, torchrun
from torch.nn.attention import SDPBackend, sdpa_kernel

from models import build_upocr
from tasks import OFFICIAL_TASKS as TASKS
from utils.optim import build_optimizer

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
]


@torch.inference_mode()
def test_outputs_are_those_of_the_cpu(tiny_model):
    images = torch.rand(3, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    expected = tiny_model(images, list(TASKS))
    actual = tiny_model.to("cuda")(images.to("cuda"), list(TASKS))
    for a, b in zip(actual, expected, strict=True):
        torch.testing.assert_close(a.cpu(), b, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_mixed_precision_trains_resumes_and_evaluates(command, tmp_path, dtype):
    options = [*TRAINING, "--device", "cuda", "--amp", "true", "--amp_dtype", dtype]
    last = tmp_path / "checkpoint_last.pth"
    command(*options, "--epochs", "1", "--output_dir", tmp_path)
    command(*options, "--epochs", "2", "--output_dir", tmp_path, "--resume", last)
    written = torch.load(last, weights_only=True)
    assert written["epoch"] == 1
    assert ("scale" in written["scaler"]) == (dtype == "float16")
    assert all(value.isfinite().all() for value in written["model"].values())
    command(
        *("--device", "cuda", "--amp", "true", "--num_workers", "0", "--eval", "true"),
        *("--resume", last, "--eval_data_cfg_path", *EVAL, "--output_dir", tmp_path / "eval"),
    )
    assert (tmp_path / "eval" / "metrics.json").exists()


@pytest.mark.parametrize("option", ["--tf32", "--compile", "--swin_use_checkpoint"])
def test_every_way_of_training_runs(command, tmp_path, monkeypatch, option):
    for part in (torch.backends.cuda.matmul, torch.backends.cudnn):
        monkeypatch.setattr(part, "allow_tf32", part.allow_tf32)  # restored afterwards
    options = [*TRAINING, "--device", "cuda", "--amp", "true", "--epochs", "1"]
    command(*options, option, "true", "--output_dir", tmp_path)
    written = torch.load(tmp_path / "checkpoint_last.pth", weights_only=True)
    assert all(value.isfinite().all() for value in written["model"].values())


@pytest.mark.parametrize("processes", [1, 2])
def test_nccl_trains(tmp_path, processes):
    if torch.cuda.device_count() < processes:
        pytest.skip(f"needs {processes} GPUs")
    options = [*TRAINING, "--device", "cuda", "--amp", "true", "--epochs", "1"]
    run = torchrun(processes, "--data_root", DATA, *options, "--output_dir", tmp_path)
    assert run.returncode == 0, run.stdout + run.stderr
    assert (tmp_path / "checkpoint_last.pth").exists()


@pytest.mark.parametrize("dtype", [None, torch.float16, torch.bfloat16])
def test_attention_takes_the_memory_efficient_kernel(dtype):
    """What `benchmarks.plan.check_kernel` promises; PyTorch raises if the kernel refuses."""
    model = build_upocr("upocr_nano").to("cuda").train()
    images = torch.rand(3, 3, 64, 64, device="cuda")
    autocast = torch.autocast("cuda", dtype=dtype, enabled=dtype is not None)
    with sdpa_kernel(SDPBackend.EFFICIENT_ATTENTION), autocast:
        loss = sum(output.square().mean() for output in model(images, list(TASKS)))
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_the_step_waits_only_for_its_log(tiny_model):
    """PyTorch's own detection of what `test_fake_gpu` counts."""
    device = torch.device("cuda")
    model, images = tiny_model.to(device), torch.rand(3, 3, 64, 64, device=device)
    optimizer = build_optimizer(model, 1e-4, 0.1, 0.05)
    torch.cuda.set_sync_debug_mode("error")
    try:
        sum(output.square().mean() for output in model(images, list(TASKS))).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
