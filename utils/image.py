"""Image files of data sets: read and written here only, always as RGB."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, UnidentifiedImageError
from torch import Tensor

from upocr.opening import open_image
from utils.files import atomic_path, check_file

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")  # of images in a folder, in upper or lower case


def read_rgb(path: str | Path) -> Image.Image:
    """Read an image as RGB, as stored: an EXIF orientation is ignored.

    Labels and masks of the data sets refer to the pixels as stored. Raises ValueError naming the
    file if it is missing, truncated or not an image.
    """
    return _read(path, "RGB")


def read_grey(path: str | Path) -> Image.Image:
    """Read an image as 8-bit grey; equal channels keep their value. Raises like `read_rgb`.

    Raises ValueError also for an image of 0 and 1 only, which reads as black.
    """
    grey = _read(path, "L")
    _, brightest = grey.getextrema()
    if brightest == 1:
        raise ValueError(f"{path}: has the values 0 and 1, expected 0 and 255: multiply by 255")
    return grey


def read_mask(path: str | Path) -> Image.Image:
    """Read a 1-bit mask, 255 background and 0 text in the file; raises like `read_rgb`."""
    # Official: this conversion dithers the grey seams of a JPEG mask.
    return read_grey(path).convert("1")


def _read(path: str | Path, mode: str) -> Image.Image:
    check_file(Path(path))
    try:
        with open_image(path) as image:
            image.load()  # `open` reads the header only; a truncated file fails here
            return _to_8_bit(image).convert(mode)
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file") from None
    except UnidentifiedImageError:
        raise ValueError(f"{path}: not an image") from None
    # Pillow's decoders raise all of these for damaged files.
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise ValueError(f"{path}: cannot read this image ({reason})") from None
    except MemoryError:  # a damaged header may claim any size below Pillow's limit
        raise ValueError(
            f"{path}: cannot read this image (too little memory for its pixels)"
        ) from None


def _to_8_bit(image: Image.Image) -> Image.Image:
    """The image; 16-bit grey reduced to its upper 8 bits, which Pillow would clip instead."""
    # Pillow gives 16-bit PGM, and in old versions 16-bit PNG, the mode of 32-bit TIFF.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        return Image.fromarray((np.asarray(image) // 257).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode!r} are not supported")
    return image


def write_png(path: str | Path, array: np.ndarray) -> None:
    """Write a uint8 array, (H, W, 3) RGB or (H, W) grey, as PNG, atomically.

    Creates the folder if necessary. Raises ValueError for other arrays.
    """
    path = Path(path)
    if array.dtype != np.uint8 or not (array.ndim == 2 or array.shape[2:] == (3,)):
        raise ValueError(
            f"{path}: cannot write {array.dtype} {array.shape}, expected uint8 (H, W, 3) or (H, W)"
        )
    with atomic_path(path) as temporary:
        Image.fromarray(array).save(temporary, format="PNG")


def image_to_tensor(image: Image.Image) -> Tensor:
    """Pillow image to uint8 (C, H, W), 0-255; a 1-bit image becomes (1, H, W) of 0 and 255."""
    array = np.array(image.convert("L") if image.mode == "1" else image)
    return (
        torch.from_numpy(array if array.ndim == 3 else array[:, :, None])
        .permute(2, 0, 1)
        .contiguous()
    )


def tensor_to_array(image: Tensor) -> np.ndarray:
    """Image on any device to uint8, (C, H, W) -> (H, W, 3), or (H, W) if C is 1.

    Float images, 0-1, are clamped and rounded; uint8 images, 0-255, keep their values.
    """
    image = image.detach().cpu()
    if image.is_floating_point():
        image = image.float().clamp(0, 1).mul(255).round().to(torch.uint8)
    return image[0].numpy() if len(image) == 1 else image.permute(1, 2, 0).contiguous().numpy()


def contact_sheet(
    rows: Sequence[Sequence[np.ndarray]], path: str | Path, titles: Sequence[str], cell: int = 256
) -> None:
    """Write a PNG table of images under column titles, e.g. input | output | target.

    Each image, uint8 (H, W, 3) or (H, W), is scaled to a cell of `cell` pixels with its aspect
    ratio preserved. Raises ValueError unless every row has one image per title.
    """
    wrong = [len(row) for row in rows if len(row) != len(titles)]
    if wrong or not rows:
        raise ValueError(
            f"{path}: a contact sheet needs rows of {len(titles)} images, got {wrong or 'none'}"
        )
    gap, header = 8, max(24, cell // 8)
    size = (len(titles) * (cell + gap) + gap, len(rows) * (cell + gap) + header + gap)
    sheet = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(header * 0.6)
    for column, title in enumerate(titles):
        middle = gap + column * (cell + gap) + cell / 2
        draw.text((middle, (header + gap) / 2), title, fill="black", font=font, anchor="mm")
        for line, row in enumerate(rows):
            corner = (gap + column * (cell + gap), header + gap + line * (cell + gap))
            sheet.paste(_fit(row[column], cell), corner)
    write_png(path, np.asarray(sheet))


def _fit(array: np.ndarray, cell: int) -> Image.Image:
    image = Image.fromarray(array).convert("RGB")
    scale = cell / max(image.size)
    size = [max(1, round(side * scale)) for side in image.size]
    frame = Image.new("RGB", (cell, cell), (224, 224, 224))
    frame.paste(image.resize(size), ((cell - size[0]) // 2, (cell - size[1]) // 2))
    return frame
