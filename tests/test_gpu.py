"""The same code on a GPU: skipped without one."""

import pytest
import torch
from small_run import EVAL, TRAINING

from tasks import OFFICIAL_TASKS as TASKS

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
