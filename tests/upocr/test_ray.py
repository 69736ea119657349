"""The recipe of docs/many_images.md for Ray Data gives the bytes of the command."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]

pytest.importorskip("ray", reason="Ray is not installed")


@pytest.mark.slow
def test_two_actors_write_the_bytes_of_the_command(tmp_path):
    page = (ROOT / "docs" / "many_images.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "remove_text.py").write_text(code)
    folder, ray, command = (tmp_path / name for name in ("in", "ray", "command"))
    folder.mkdir()
    rng = np.random.default_rng(0)
    for n in range(6):
        pixels = rng.integers(0, 256, (30, 40 + n, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{n}.png")
    (folder / "broken.png").write_text("no picture")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}

    def run(*arguments: object) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    done = run("remove_text.py", folder, ray)
    assert done.returncode == 0, done.stderr
    assert "broken.png: not an image of a readable kind" in done.stdout
    assert done.stdout.count(": done") == 6
    run("-m", "upocr", "remove", folder, "--output_dir", command, "--num_threads", "1")
    expected = {path.name: path.read_bytes() for path in command.glob("*.removed.png")}
    assert len(expected) == 6
    assert {path.name: path.read_bytes() for path in ray.iterdir()} == expected
