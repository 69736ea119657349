"""The command eval/text_removal/evaluation.py: figures, JSON, FID, bad input."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eval import build_evaluator, report
from eval.text_removal import evaluation, fid
from utils.cli import run

REPOSITORY = Path(__file__).parents[2]
REMOVAL = REPOSITORY / "tests" / "reference" / "removal"


def command(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess:
    line = [sys.executable, "-u", "eval/text_removal/evaluation.py", *map(str, arguments)]
    variables = os.environ | environment
    return subprocess.run(
        line, cwd=REPOSITORY, env=variables, capture_output=True, text=True, check=False
    )


def call(monkeypatch, *arguments: str | Path) -> int:
    """The command inside this process, for its exit code."""
    monkeypatch.setattr(sys, "argv", ["evaluation.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        run(evaluation.main)
    return stop.value.code


def write_image(path: Path, size: tuple[int, int] = (40, 30), seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), np.uint8)).save(path)
    return path


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    """Labels and outputs of two images; suffixes differ, names have dots."""
    for seed, (label, output) in enumerate([("1.png", "1.bmp"), ("img_2.v1.PNG", "img_2.v1.webp")]):
        write_image(tmp_path / "gt" / label, seed=seed)
        write_image(tmp_path / "out" / output, seed=10 + seed)
    return tmp_path / "gt", tmp_path / "out"


@pytest.mark.slow
def test_command_prints_and_writes_both_sets(tmp_path):
    path = tmp_path / "new" / "metrics.json"
    paths = ("--gt_path", REMOVAL / "gt", "--target_path", REMOVAL / "pred")
    done = command(*paths, "--json", path, "--num_workers", "2")
    assert (done.returncode, done.stderr) == (0, "")
    results = json.loads(path.read_text())
    assert results["num_images"] == results["strict"]["num_images"] == 4
    assert results["paper"]["num_images"] == 3
    assert results["paper"]["psnr"] == pytest.approx(32.16709528403257, abs=1e-6)
    assert results["strict"]["num_identical"] == 1
    assert "text removal: 4 images" in done.stdout
    row = re.search(r"^psnr +(\S+) +(\S+) +dB$", done.stdout, re.MULTILINE)
    assert float(row[1]) == pytest.approx(results["paper"]["psnr"], rel=1e-6)
    assert float(row[2]) == pytest.approx(results["strict"]["psnr"], rel=1e-6)
    assert os.listdir(path.parent) == ["metrics.json"]


@pytest.mark.slow
def test_worker_processes_change_nothing():
    pairs = evaluation.match_pairs(REMOVAL / "pred", REMOVAL / "gt")
    assert evaluation.evaluate_pairs(pairs, num_workers=3) == evaluation.evaluate_pairs(pairs)


def test_pairs_are_matched_by_name(folders):
    pairs = evaluation.match_pairs(folders[1], folders[0])
    names = [(output.name, label.name) for output, label in pairs]
    assert names == [("1.bmp", "1.png"), ("img_2.v1.webp", "img_2.v1.PNG")]


def test_an_ending_picks_the_outputs_among_other_files(folders):
    gt, out = folders
    for path in sorted(out.iterdir()):
        path.rename(out / f"{path.stem}.removed{path.suffix}")
        write_image(out / f"{path.stem}.overlay.png")
    pairs = evaluation.match_pairs(out, gt, ".removed")
    names = [(output.name, label.name) for output, label in pairs]
    assert names == [("1.removed.bmp", "1.png"), ("img_2.v1.removed.webp", "img_2.v1.PNG")]
    with pytest.raises(ValueError, match=r"out: no image of a name that ends with '\.painted'"):
        evaluation.match_pairs(out, gt, ".painted")


def test_every_image_identical_prints_none(folders, monkeypatch, capsys):
    assert call(monkeypatch, "--gt_path", folders[0], "--target_path", folders[0]) == 0
    assert re.search(r"^psnr +none +100\.0000 +dB$", capsys.readouterr().out, re.MULTILINE)


def test_evaluator_equals_the_command_on_the_folder_it_wrote(tmp_path):
    evaluator = build_evaluator("text_removal", "SCUT-EnsText", tmp_path)
    outputs = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    for index, output in enumerate(outputs):
        size = (50 + index, 90 - index)
        path = write_image(tmp_path / "gt" / f"{index}.jpg", size[::-1], index)
        evaluator.update(
            output[None], [{"name": str(index), "size": size, "label_path": str(path)}]
        )
    pairs = evaluation.match_pairs(tmp_path / "SCUT-EnsText", tmp_path / "gt")
    results = evaluator.compute()
    assert evaluation.evaluate_pairs(pairs) == results
    headline, *table = report("text_removal", "SCUT-EnsText", results)
    assert headline.endswith("(5 images)")
    assert "\n".join(row.removeprefix("    ") for row in table) in evaluation.format_table(results)
    assert len(table) == 12


def test_images_without_labels_have_no_table(tmp_path):
    results = build_evaluator("text_removal", "mine", tmp_path).compute()
    assert report("text_removal", "mine", results) == [
        "mine             PSNR of the whole output none  paper's PSNR none  (0 images)"
    ]


# --- bad input


def missing(gt: Path, out: Path) -> None:
    shutil.rmtree(out)


def empty(gt: Path, out: Path) -> None:
    for path in gt.iterdir():
        path.unlink()
    (gt / "notes.txt").write_text("no image")


def output_without_label(gt: Path, out: Path) -> None:
    write_image(out / "3.png")


def label_without_output(gt: Path, out: Path) -> None:
    write_image(gt / "3.png")


def same_name_twice(gt: Path, out: Path) -> None:
    write_image(out / "1.png")


def truncated(gt: Path, out: Path) -> None:
    content = (out / "1.bmp").read_bytes()
    (out / "1.bmp").write_bytes(content[: len(content) // 2])


def no_image(gt: Path, out: Path) -> None:
    (gt / "1.png").write_text("text")


def other_size(gt: Path, out: Path) -> None:
    write_image(out / "1.bmp", (80, 60))


def too_small(gt: Path, out: Path) -> None:
    for path in (gt / "1.png", out / "1.bmp"):
        write_image(path, (9, 40))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (missing, "out: missing folder"),
        (empty, "gt: empty folder"),
        (output_without_label, r"out/3.png: no file 3\.\* in .*gt"),
        (label_without_output, r"gt/3.png: no file 3\.\* in .*out"),
        (same_name_twice, "out/1.png: 1.bmp in this folder has the same name"),
        (truncated, "out/1.bmp: cannot read"),
        (no_image, "gt/1.png: not an image"),
        (other_size, "out/1.bmp: 80 x 60 pixels, but .*gt/1.png has 40 x 30"),
        (too_small, "out/1.bmp: 9 x 40 pixels, but SSIM needs 11 per side"),
    ],
)
@pytest.mark.parametrize("num_workers", [0, 2])
def test_bad_input_is_one_line(spoil, message, num_workers, folders, tmp_path, monkeypatch, capsys):
    spoil(*folders)
    paths = ("--gt_path", folders[0], "--target_path", folders[1], "--json", tmp_path / "m.json")
    assert call(monkeypatch, *paths, "--num_workers", num_workers) == 2
    captured = capsys.readouterr()
    assert re.fullmatch(f"error: .*{message}.*\n", captured.err)
    assert captured.out == ""
    assert not (tmp_path / "m.json").exists()


def test_negative_workers(folders, monkeypatch, capsys):
    paths = ("--gt_path", folders[0], "--target_path", folders[1])
    assert call(monkeypatch, *paths, "--num_workers", -1) == 2
    assert capsys.readouterr().err == "error: --num_workers is -1, expected 0 or more\n"


# --- Fréchet Inception distance


@pytest.mark.slow
def test_fid_without_weights_is_one_line_after_the_metrics(folders, tmp_path):
    paths = ("--gt_path", folders[0], "--target_path", folders[1], "--json", tmp_path / "m.json")
    # A proxy that nobody answers is a machine without network.
    nowhere = {name: "http://127.0.0.1:9" for name in ("HTTPS_PROXY", "https_proxy")}
    done = command(*paths, "--fid", "true", TORCH_HOME=str(tmp_path / "torch"), **nowhere)
    assert done.returncode == 2
    assert "psnr" in done.stdout
    assert "fid" not in json.loads((tmp_path / "m.json").read_text())
    weights = tmp_path / "torch/hub/checkpoints/pt_inception-2015-12-05-6726825d.pth"
    assert re.fullmatch(f"error: {weights.name}: .*put it at {weights}\n", done.stderr)


def test_fid_names_weights_that_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    path = fid.weights_path()
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half a download")
    with pytest.raises(ValueError, match=f"{path.name}: .* cannot be read .* put it at {path}"):
        fid.load_inception()


def test_fid_needs_two_images(folders):
    with pytest.raises(ValueError, match="at least two pairs"):
        fid.frechet_inception_distance([folders[0] / "1.png"], [folders[1] / "1.bmp"])


class MeanColour(torch.nn.Module):
    """Stands in for Inception: the mean colour as a feature of three numbers."""

    def forward(self, images):
        return [images.mean(dim=(2, 3), keepdim=True)]


def test_fid_compares_the_features_of_paired_files(folders, monkeypatch, capsys):
    monkeypatch.setattr(fid, "load_inception", MeanColour)
    monkeypatch.setattr(fid, "DIMS", 3)
    write_image(folders[0] / "3.png", (64, 20), seed=5)  # of another size
    write_image(folders[1] / "3.png", (64, 20), seed=6)
    (folders[0] / "stray.gif").write_bytes(b"not one of the pairs")
    json_path = folders[0].parent / "m.json"
    paths = ("--gt_path", folders[0], "--target_path", folders[1], "--json", json_path)
    assert call(monkeypatch, *paths, "--fid", "true", "--num_workers", "0") == 0
    features = [
        np.array([np.asarray(Image.open(path)).mean(axis=(0, 1)) / 255 for path in side])
        for side in zip(*evaluation.match_pairs(folders[1], folders[0]), strict=True)
    ]
    statistics = [(x.mean(axis=0), np.cov(x, rowvar=False)) for x in features]
    expected = fid.frechet_distance(*statistics[0], *statistics[1])
    assert json.loads(json_path.read_text())["fid"] == pytest.approx(expected, rel=1e-3)
    assert re.search(r"^FID +\d", capsys.readouterr().out, re.MULTILINE)


def test_frechet_distance_of_known_gaussians():
    mean, other_mean = np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0, 5.0])
    variances, other_variances = np.array([1.0, 4.0, 0.0]), np.array([9.0, 4.0, 1.0])
    expected = 5 + ((np.sqrt(variances) - np.sqrt(other_variances)) ** 2).sum()
    arguments = mean, np.diag(variances), other_mean, np.diag(other_variances)
    assert fid.frechet_distance(*arguments) == pytest.approx(expected)


def test_frechet_distance_of_equal_gaussians_is_zero():
    covariance = np.cov(np.random.default_rng(0).random((4, 10)), rowvar=False)  # rank 3
    assert fid.frechet_distance(np.ones(10), covariance, np.ones(10), covariance) == pytest.approx(
        0, abs=1e-7
    )
