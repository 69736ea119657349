"""Memory and time of one large image: `python -m benchmarks.large_image`."""

import tempfile
import time
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image
from tqdm import tqdm

from benchmarks.measure import in_fresh_process, peak_gib
from tasks import OFFICIAL_TASKS
from upocr import UPOCR
from utils.cli import Parser, positive_int, run


def make_image(path: Path, width: int, height: int) -> None:
    """Copies of a page of text from scikit-image, each in a colour of its own."""
    page = np.repeat(skimage.data.page()[..., None], 3, axis=2)
    rng = np.random.default_rng(0)
    canvas = np.empty((height, width, 3), np.uint8)
    for top in range(0, height, page.shape[0]):
        for left in range(0, width, page.shape[1]):
            part = canvas[top : top + page.shape[0], left : left + page.shape[1]]
            part[:] = page[: part.shape[0], : part.shape[1]] * rng.uniform(0.6, 1, 3)
    Image.fromarray(canvas).save(path, quality=90)


def build_parser() -> Parser:
    """Options of the command."""
    parser = Parser(prog="python -m benchmarks.large_image", description=__doc__)
    add = parser.add_argument
    add("--width", type=positive_int, default=12000)
    add("--height", type=positive_int, default=9000)
    add("--tasks", nargs="+", choices=OFFICIAL_TASKS, default=["text_removal"])
    add("--weights", help="default: pretrained/upocr_nano.safetensors")
    add("--window", type=int, help="default: that of the weights")
    add("--batch_size", type=int, default=4, help="windows per batch")
    return parser


def main() -> None:
    """The command."""
    args = build_parser().parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "huge.jpg"
        # In a process of its own, whose memory does not count.
        in_fresh_process(make_image, path, args.width, args.height)
        model = UPOCR.from_pretrained(
            args.weights, "cpu", window=args.window, batch_size=args.batch_size
        )
        loaded, start = peak_gib(), time.perf_counter()
        windows = model.num_windows((args.height, args.width))
        with tqdm(total=windows, unit="window", mininterval=5) as bar:
            results = model.run(path, args.tasks, progress=bar.update)
        for result in results.values():
            result.save(folder)
        seconds = time.perf_counter() - start
    print(
        f"{args.width} x {args.height}, {', '.join(args.tasks)}: {windows} windows of "
        f"{model.window}, {seconds:.0f} s with reading and writing, peak {peak_gib():.2f} GiB, "
        f"{peak_gib() - loaded:.2f} GiB beyond the loaded model"
    )


if __name__ == "__main__":
    run(main)
