"""The page of the server as a folder for any static host: the model runs in the browser."""

import hashlib
import json
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from upocr.backends import onnxruntime
from upocr.backends.archive import MANIFEST, Archive
from upocr.server.information import ROUTES, describe
from upocr.tasks import TEXT_SEGMENTATION

STATIC = Path(__file__).resolve().parents[1] / "upocr" / "server" / "static"
OF_SERVER = ("index.html", "docs.html", "docs.js", "api.js")  # absent, or changed
ENGINE = '// The engine of this page runs in the browser.\n\nexport * from "./local/api.js";\n'
MODEL, ARCHIVE = "model.json", "model.zip"

# What a browser has to hold: about 40 bytes per pixel.
MAX_BYTES, MAX_PIXELS = 100_000_000, 25_000_000

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
RUNTIME = "onnxruntime"  # folder of its files
# Files of the package in dist/ and their SHA-256.
SUMS = {
    "ort.wasm.min.mjs": "219e6a1fc8a9938268d18efca3c91d310bd2f4a59bbd13744df5b2b7fc6cee3b",
    "ort-wasm-simd-threaded.mjs": (
        "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b"
    ),
    "ort-wasm-simd-threaded.wasm": (
        "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"
    ),
    "ort.jspi.min.mjs": "bc57179d923fda2d88d4a395359c8df44399dde087bf9ff44fc0e40ab398e4d9",
    "ort-wasm-simd-threaded.jspi.mjs": (
        "270e2c6da9f297239d301d329782b6446641cb1e16a77967690adcfca35f3268"
    ),
    "ort-wasm-simd-threaded.jspi.wasm": (
        "a54c76f86b0f0d9572380cf1c6292a7b3903716ffcbcd6b0e5c7050bf430eb93"
    ),
}
# Provider of ONNX Runtime -> module to import and WebAssembly to load.
PROVIDERS = {
    "wasm": ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.wasm"),
    "webgpu": ("ort.jspi.min.mjs", "ort-wasm-simd-threaded.jspi.wasm"),
}
PATIENCE = 600  # seconds for the download

POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; "
    "style-src 'self'; img-src 'self' blob:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'"
)
# Netlify, Cloudflare Pages and others read this file. The second and third line permit threads.
HEADERS = f"""/*
  Content-Security-Policy: {POLICY}; frame-ancestors 'none'
  Cross-Origin-Opener-Policy: same-origin
  Cross-Origin-Embedder-Policy: require-corp
  Cross-Origin-Resource-Policy: same-origin
  Referrer-Policy: no-referrer
  X-Content-Type-Options: nosniff
"""

# The check of a graphics processor: a pattern, and every STEP-th value of the answer.
CHECK_SIDE, CHECK_STEP = 64, 97


def export_site(archive: Archive, output: Path, runtime: Path | None = None) -> None:
    """Write the page of a model; complete or not at all.

    Args:
        archive: the model, as ONNX.
        output: folder; the files of an earlier page in it are replaced, others stay.
        runtime: folder of the unpacked npm package `PACKAGE`; None downloads it.

    Raises ValueError for a model that the page cannot show, a folder of something else, and a
    package that is missing, of another version or cannot be downloaded.
    """
    if TEXT_SEGMENTATION.name not in archive.tasks:
        known = ", ".join(archive.tasks)
        raise ValueError(f"the page needs the task {TEXT_SEGMENTATION.name}; the model has {known}")
    old = earlier_files(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}.") as name:
        folder = Path(name) / "site"
        copy_page(folder)
        with unpacked(runtime) as package:
            copy_runtime(package, folder / RUNTIME)
        archive.write(folder / ARCHIVE)
        description = describe_model(archive, folder)
        description["files"] = sorted([*files_in(folder), MODEL])
        (folder / MODEL).write_text(f"{json.dumps(description, indent=2)}\n", encoding="utf-8")
        if old:
            replace_files(output, folder, old)
        else:
            if output.exists():
                output.rmdir()  # is empty
            folder.rename(output)


def files_in(folder: Path) -> list[str]:
    """Names of all files below a folder, relative to it."""
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def earlier_files(folder: Path) -> set[str]:
    """Files of the page that a folder holds; raises ValueError if it holds anything but a page."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return set()
    try:
        names = json.loads((folder / MODEL).read_text(encoding="utf-8"))["files"]
        return {name for name in names if is_inside(name, folder)}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(
            f"{folder}: holds something other than a page; name a new folder"
        ) from None


def is_inside(name: str, folder: Path) -> bool:
    """Whether a relative name stays in a folder and leads through no link."""
    parent = (folder / name).parent
    return not Path(name).is_absolute() and parent.resolve() == folder.resolve() / Path(name).parent


def replace_files(output: Path, new: Path, old: set[str]) -> None:
    """Move the files of a folder to their places, then delete those of `old` without successor."""
    names = files_in(new)
    for name in sorted(names, key=lambda name: name == MODEL):  # the list of files comes last
        target = output / name
        target.parent.mkdir(parents=True, exist_ok=True)
        (new / name).replace(target)
    for name in old - set(names):
        (output / name).unlink(missing_ok=True)


def copy_page(folder: Path) -> None:
    """The page of the server, with the engine that runs in the browser."""
    static = folder / "static"
    shutil.copytree(STATIC, static)
    page = (static / "index.html").read_text(encoding="utf-8")
    for name in OF_SERVER:
        (static / name).unlink()
    (static / "api.js").write_text(ENGINE, encoding="utf-8")
    encoding = '<meta charset="utf-8">'
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    secured = page.replace(encoding, f"{encoding}\n  {policy}", 1)
    (folder / "index.html").write_text(secured, encoding="utf-8")
    (folder / "_headers").write_text(HEADERS, encoding="utf-8")


def copy_runtime(package: Path, folder: Path) -> None:
    """The files of `SUMS`; raises ValueError for others than those of `VERSION`."""
    folder.mkdir()
    for name, digest in SUMS.items():
        source = next(
            (path for path in (package / "dist" / name, package / name) if path.exists()), None
        )
        if source is None:
            raise ValueError(f"{package}: has no {name}; expected the npm package {PACKAGE}")
        content = source.read_bytes()
        if hashlib.sha256(content).hexdigest() != digest:
            raise ValueError(f"{source}: is not that of {PACKAGE} {VERSION}, or damaged")
        (folder / name).write_bytes(content)


@contextmanager
def unpacked(runtime: Path | None) -> Iterator[Path]:
    """A folder with the npm package: the given one, or a download that is deleted in the end."""
    if runtime is not None:
        if not runtime.is_dir():
            raise ValueError(f"{runtime}: no such folder (--onnxruntime_web)")
        yield runtime
        return
    with tempfile.TemporaryDirectory() as folder:
        yield download(Path(folder))


def download(folder: Path) -> Path:
    """Fetch and unpack the npm package in a folder; raises ValueError."""
    advice = f"or name the unpacked {PACKAGE} {VERSION} with --onnxruntime_web"
    if shutil.which("npm") is None:
        raise ValueError(f"npm is not installed: install Node.js, {advice}")
    command = ["npm", "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--silent"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=PATIENCE)
        (file,) = folder.glob("*.tgz")
        with tarfile.open(file) as archive:
            members = [archive.getmember(f"package/dist/{name}") for name in SUMS]
            for member in members:
                content = archive.extractfile(member)
                assert content is not None
                (folder / Path(member.name).name).write_bytes(content.read())
    except (subprocess.SubprocessError, OSError, ValueError, KeyError, tarfile.TarError):
        raise ValueError(
            f"npm cannot download {PACKAGE} {VERSION}: check the network, {advice}"
        ) from None
    return folder


def describe_model(archive: Archive, folder: Path) -> dict[str, Any]:
    """What the page must know, for JSON; `folder` holds the other files."""
    tasks = [task for task in ROUTES.values() if task in archive.tasks]
    return {
        **describe(archive.tasks, archive.image_size, MAX_BYTES, MAX_PIXELS),
        "archive": {"file": ARCHIVE, "size": (folder / ARCHIVE).stat().st_size},
        "runtime": {
            provider: {
                "module": f"{RUNTIME}/{module}",
                "binary": f"{RUNTIME}/{binary}",
                "size": (folder / RUNTIME / binary).stat().st_size,
            }
            for provider, (module, binary) in PROVIDERS.items()
        },
        "check": check_of(archive, tasks),
    }


def check_of(archive: Archive, tasks: list[str]) -> Mapping[str, Any]:
    """Samples of the right answer to a pattern, see `Network.check` in static/local/network.js."""
    count = 3 * CHECK_SIDE**2
    pattern = (np.arange(count) * 37 % 256).astype(np.float32) / 255
    image = pattern.reshape(1, 3, CHECK_SIDE, CHECK_SIDE)
    answer = onnxruntime.from_archive(archive, Path(MANIFEST)).predict(image, tasks)
    samples = answer.reshape(-1, CHECK_SIDE**2)[:, ::CHECK_STEP]
    return {
        "tasks": tasks,
        "step": CHECK_STEP,
        "expected": samples.ravel().astype(float).round(4).tolist(),
    }
