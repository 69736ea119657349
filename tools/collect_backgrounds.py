"""Command: background photographs for synthesis out of unpacked desktop-wallpaper packages."""

import io
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from upocr.opening import open_image
from utils.cli import Parser, run, say
from utils.files import atomic_path, read_text

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
RESOURCES = ".rcc"  # Qt resource files; photographs lie in them as they are
SIGNATURES = (b"\xff\xd8\xff", b"RIFF")  # JPEG, WebP
SHORTEST_SIDE, LONGEST_SIDE = 400, 1600  # pixels
QUALITY = 95
FLAT = 2.0  # grey levels, standard deviation; what varies less is a plain surface
TWIN_DISTANCE = 6.0  # grey levels between 16 x 16 thumbnails; packages ship several sizes

# Drawings, thumbnails and screenshots rather than photographs or paintings.
NO_PHOTOGRAPHS = ("/icons/", "/puzzles/", "screenshot", "preview", "logo", "pixmaps/xfce4", ".svg")
# Activities of GCompris whose pictures are photographs or paintings.
ACTIVITIES = ("erase", "explore_farm_animals", "explore_monuments", "explore_world_animals",
              "explore_world_music", "paintings", "details")  # fmt: skip


def pictures(folder: Path) -> Iterator[tuple[str, Image.Image]]:
    """(name, picture) of every image file and every image in a resource file below `folder`."""
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or any(word in str(path).lower() for word in NO_PHOTOGRAPHS):
            continue
        package = path.relative_to(folder).parts[0]
        if path.suffix.lower() in SUFFIXES:
            # Plasma names its files by size only: WALLPAPER/contents/images/1920x1080.jpg
            stem = path.parts[-4] if path.parent.name.startswith("images") else path.stem
            yield f"{package}-{stem}", open_image(path)
        elif path.suffix == RESOURCES and path.stem in ACTIVITIES:
            for number, picture in enumerate(embedded(path.read_bytes())):
                yield f"{package}-{path.stem}-{number:03d}", picture


def embedded(data: bytes) -> Iterator[Image.Image]:
    """JPEG and WebP images that lie uncompressed in `data`, in their order."""
    starts = sorted(start for signature in SIGNATURES for start in _find(data, signature))
    for start in starts:
        try:
            picture = Image.open(io.BytesIO(data[start:]), formats=("JPEG", "WEBP"))
            picture.load()
        except (UnidentifiedImageError, OSError, SyntaxError):
            continue  # the bytes of a signature by chance
        yield picture


def _find(data: bytes, signature: bytes) -> Iterator[int]:
    start = data.find(signature)
    while start >= 0:
        yield start
        start = data.find(signature, start + 1)


def _thumbnail(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("L").resize((16, 16), Image.Resampling.BOX), np.float32)


def distinct(found: Iterator[tuple[str, Image.Image]]) -> Iterator[tuple[str, Image.Image]]:
    """Those large enough and opaque, as RGB, of which none is another one at a different size."""
    thumbnails: list[np.ndarray] = []
    for name, picture in found:
        if min(picture.size) < SHORTEST_SIDE or picture.mode in ("RGBA", "LA", "P"):
            continue
        upright = ImageOps.exif_transpose(picture).convert("RGB")
        thumbnail = _thumbnail(upright)
        twin = any(np.abs(thumbnail - other).mean() < TWIN_DISTANCE for other in thumbnails)
        if not twin and thumbnail.std() >= FLAT:
            thumbnails.append(thumbnail)
            yield name, upright


def collect(folder: Path, output_dir: Path, excluded: set[str]) -> list[str]:
    """Write every distinct picture of sufficient size as JPEG; returns their names."""
    seen: Counter[str] = Counter()
    names: list[str] = []
    for title, picture in distinct(pictures(folder)):
        seen[title] += 1
        name = title if seen[title] == 1 else f"{title}-{seen[title]}"
        if name not in excluded:
            picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            with atomic_path(output_dir / f"{name}.jpg") as temporary:
                picture.save(temporary, "JPEG", quality=QUALITY)
            names.append(name)
    return names


def main() -> None:
    """Read the packages, write the photographs, say how many."""
    parser = Parser(description=__doc__)
    parser.add_argument("packages", type=Path, help="folder with one unpacked package per folder")
    parser.add_argument("output_dir", type=Path, help="folder to write to")
    parser.add_argument("--exclude", type=Path, help="file with one name per line to leave out")
    args = parser.parse_args()
    lines = read_text(args.exclude).splitlines() if args.exclude else []
    excluded = {line.strip() for line in lines if line.strip() and not line.startswith("#")}
    names = collect(args.packages, args.output_dir, excluded)
    say(f"{args.output_dir}: {len(names)} photographs")


if __name__ == "__main__":
    run(main)
