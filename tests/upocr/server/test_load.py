"""Many clients at once, and the end of the process."""

import random
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from own_images import Painter
from own_server import encoded, noise_with_text
from small_run import ROOT

from upocr import UPOCR

pytest.importorskip("fastapi", reason="the server's packages are not installed")
httpx = pytest.importorskip("httpx")

CLIENTS, REQUESTS = 20, 120
SIZES = [(33, 40), (150, 200), (64, 400), (300, 260)]
ENDINGS = {"remove": "removed.png", "segment": "mask.png", "detect": "regions.json"}
BROKEN = {b"": 415, b"text": 415, encoded(noise_with_text())[:3000]: 422}


@pytest.mark.slow
def test_every_one_of_many_requests_is_answered(start, tmp_path):
    server = start(UPOCR(Painter()), max_queue=8)
    pictures = {encoded(noise_with_text(*size)): size for size in SIZES}
    expected = {}
    for content, size in pictures.items():
        for task, result in UPOCR(Painter()).run(noise_with_text(*size)).items():
            folder = tmp_path / str(len(expected))
            result.save(folder)
            expected[content, task] = {
                path.name.removeprefix("image."): path.read_bytes() for path in folder.iterdir()
            }

    def ask(number: int) -> bool:
        chance = random.Random(number)
        route = chance.choice(list(ENDINGS))
        is_broken = chance.random() < 0.2
        content = chance.choice(list(BROKEN if is_broken else pictures))
        with httpx.Client(timeout=60) as client:
            while True:
                response = client.post(f"{server.url}/v1/{route}", files={"image": content})
                if response.status_code != 429:
                    break
                threading.Event().wait(0.05 * chance.random())
        if is_broken:
            return response.status_code == BROKEN[content]
        task = {"remove": "text_removal", "segment": "text_segmentation"}
        files = expected[content, task.get(route, "tampered_text_detection")]
        return response.content == files[ENDINGS[route]]

    with ThreadPoolExecutor(CLIENTS) as clients:
        assert all(clients.map(ask, range(REQUESTS)))
    assert server.worker._places == 0
    assert server.worker._jobs == []


SLOW = """
import sys, time
sys.path[:0] = [{root!r}, {tests!r}]
from own_images import Painter
from upocr import UPOCR
from upocr.server import add_arguments, main
import argparse

class Slow(Painter):
    def predict(self, images, tasks):
        print("predicting", flush=True)
        time.sleep(0.1)
        return super().predict(images, tasks)

parser = argparse.ArgumentParser()
add_arguments(parser)
sys.exit(main(parser.parse_args(["--port", "0"]), UPOCR(Slow())))
"""


@pytest.mark.slow
def test_sigterm_finishes_what_runs(upload):
    code = SLOW.format(root=str(ROOT), tests=str(ROOT / "tests"))
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        answers = []
        client = threading.Thread(
            target=lambda: answers.append(
                httpx.post(f"{url}/v1/remove", files={"image": upload}, timeout=60)
            )
        )
        client.start()
        assert process.stdout.readline() == "predicting\n"
        process.send_signal(signal.SIGTERM)
        client.join()
        process.stdout.read()
        assert process.wait(60) == 0
    assert answers[0].status_code == 200


@pytest.mark.slow
def test_options_that_cannot_work_are_one_line():
    def error_of(*options: str) -> str:
        command = [sys.executable, "-m", "upocr.server", *options]
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert found.returncode == 2
        assert found.stderr.count("\n") == 1
        return found.stderr

    assert "--max_queue: '0' is not an integer above 0" in error_of("--max_queue", "0")
    assert error_of("--time_limit", "0") == "error: time_limit is 0.0, expected a number above 0\n"
    assert "missing.safetensors" in error_of("--weights", "missing.safetensors")
