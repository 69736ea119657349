"""Benchmarks compare equal work, and account for memory."""

import os
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import ablations, flat_memory, inference, measure
from benchmarks.measure import in_fresh_process, interleave, peak_gib, table
from benchmarks.profile import REST, gflop_by_part, seconds_by_part
from benchmarks.training import KINDS, Setting, make_step
from options import parse_command_line, resolve
from utils.files import read_json, write_json

REMOVAL = "TextRemoval/SCUT-EnsText"


SETTING = Setting("upocr_nano", side=64, batch_size=1)


@pytest.mark.slow
def test_every_kind_of_step_takes_the_same_step():
    losses = {}
    for kind in KINDS:
        step = make_step(SETTING, kind, torch.float32)
        losses[kind] = [step() for _ in range(2)]
    for kind, found in losses.items():
        assert found == pytest.approx(losses["plain"], rel=1e-4), kind


def test_every_kind_of_inference_gives_the_same_picture():
    with torch.inference_mode():
        pictures = {
            kind: inference.make_call("upocr_nano", kind, torch.float32, 96)()
            for kind in inference.KINDS
        }
    for kind, picture in pictures.items():
        torch.testing.assert_close(picture, pictures["plain"], rtol=0, atol=1e-4, msg=kind)


@pytest.mark.slow
def test_peak_of_a_fresh_process_is_its_own():
    held = torch.ones(2**28)  # 1 GiB, that the other process does not have
    ours, theirs = peak_gib(), in_fresh_process(peak_gib)
    assert theirs < ours - 0.5 * held.nbytes / 2**30


@pytest.mark.slow
def test_bad_input_of_a_fresh_process_is_bad_input_here():
    with pytest.raises(OSError, match="nowhere"):
        in_fresh_process(os.stat, "nowhere")
    with pytest.raises(ValueError, match="process of _exit ended with exit code 3"):
        in_fresh_process(os._exit, 3)


def test_figures_are_written_into_a_new_folder(tmp_path):
    measure.write_json(tmp_path / "new" / "figures.json", {"float32": 1.0}, [])
    assert read_json(tmp_path / "new" / "figures.json")["gemm_gflops"] == {"float32": 1.0}


def test_inference_is_timed_without_gradients(monkeypatch):
    seen = []
    for name in ("compare", "compare_stages"):
        monkeypatch.setattr(inference, name, lambda *_: seen.append(torch.is_grad_enabled()))
    monkeypatch.setattr(inference, "print_machine", dict)
    monkeypatch.setattr("sys.argv", ["inference"])
    inference.main()
    assert seen == [False, False]


def test_every_model_of_the_ablations_sees_as_many_samples(tmp_path):
    args = ablations.build_parser().parse_args(["--output_dir", str(tmp_path)])
    sizes = {}
    for name, (tasks, further) in ablations.runs().items():
        training, evaluation = ablations.commands(tasks, further, tmp_path, args)
        options, testing = (
            resolve(parse_command_line(line[line.index("main.py") + 1 :]), {})
            for line in (training, evaluation)
        )
        sizes[name] = options.optimisation.batch_size * len(options.data.data_cfg_paths)
        assert options.model.task_prompts == (name != "joint, no task prompts")
        assert (
            len(testing.data.eval_data_cfg_path) == len(options.data.data_cfg_paths) == len(tasks)
        )
    assert len(sizes) == 5
    assert set(sizes.values()) == {3}


def test_figures_of_the_ablations(tmp_path):
    metrics = {
        "synthetic-text-removal": {"strict": {"psnr": 25.0}},
        "synthetic-text-segmentation": {"fg_iou": 0.0},
    }
    for task in ("text_removal", "text_segmentation"):
        metrics[measure.SYNTHETIC[task]] |= {"task": task, "num_images": 2}
    write_json(tmp_path / "metrics.json", metrics)
    found = ablations.figures(tmp_path, ("text_removal", "text_segmentation"))
    assert list(found.values()) == [25.0, None, 0.0]


def test_an_interrupted_test_of_the_ablations_is_made_again(tmp_path, monkeypatch):
    seen = []

    def interrupted(line, **options):
        seen.append(line)
        record = {"task": "text_removal", "num_images": 2, "strict": {"psnr": 25.0}}
        write_json(tmp_path / "joint/metrics.json", {measure.SYNTHETIC["text_removal"]: record})
        return SimpleNamespace(returncode=2 * (len(seen) % 2 == 0))

    monkeypatch.setattr(ablations.subprocess, "run", interrupted)
    for steps, message in ((50, "exit code"), (50, "exit code"), (100, "other")):
        options = ["--output_dir", str(tmp_path), "--steps", str(steps)]
        monkeypatch.setattr("sys.argv", ["ablations", *options])
        with pytest.raises(ValueError, match=message):
            ablations.main()
    assert seen[:2] == seen[2:]  # the third time nothing was run


def test_variants_take_turns():
    order = []
    seconds = interleave({name: lambda n=name: order.append(n) for name in "ab"}, 2, warmup=1)
    assert order == list("ababab")
    assert {name: len(times) for name, times in seconds.items()} == {"a": 2, "b": 2}


def test_table_lines_up():
    rows = [{"name": "x", "value": 1234.5}, {"name": "longer", "value": None}]
    assert table(rows).split("\n") == ["name    value", "x        1234", "longer      -"]


@pytest.mark.slow
def test_profile_leaves_no_work_out():
    step = make_step(SETTING, "plain", torch.float32)
    with FlopCounterMode(display=False) as counter:
        step()
    parts = gflop_by_part(step)
    assert sum(parts.values()) == pytest.approx(counter.get_total_flops() / 1e9)
    assert min(parts.values()) > 0


@pytest.mark.slow
def test_profile_finds_the_part_of_an_operator():
    x = torch.rand(512, 512)
    for call, part in (
        (lambda: x @ x, "linear layers"),
        (lambda: F.gelu(x), "GELU"),
        (lambda: x + x, REST),
    ):
        assert seconds_by_part(call, 1).most_common(1)[0][0] == part
    step = make_step(SETTING, "all", torch.float32)
    seconds = seconds_by_part(step, 1)
    assert set(seconds) > {"attention", "convolutions", "normalisation", "optimizer", REST}


def test_growth_is_what_remains_after_the_start():
    start = [(step, 0.1 * step) for step in range(20)]
    flat = start + [(step, 2.0) for step in range(20, 100)]
    leaking = start + [(step, 2.0 + 0.01 * step) for step in range(20, 100)]
    assert flat_memory.growth(flat) == 0
    assert flat_memory.growth(leaking) == pytest.approx(0.72)


@pytest.mark.slow
def test_memory_is_followed_through_each_kind_of_run(tmp_path):
    curves = {
        "pictures": flat_memory.small_pictures(2),
        "scan": flat_memory.large_scan(300, 200),
        "steps": flat_memory.training_steps(3, 64),
    }
    assert [len(points) for points in (curves["pictures"], curves["steps"])] == [2, 3]
    assert curves["scan"][0][0] == 0 < curves["scan"][-1][0]
    assert all(0.1 < memory < 16 for points in curves.values() for _, memory in points)
    flat_memory.draw(curves, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.width > 2 * picture.height
