"""The page's modules in Node.js, which needs neither a browser nor packages."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from small_run import ROOT

STATIC = ROOT / "upocr" / "server" / "static"
NODE = "node"
# What modules of a browser expect, and arrays that travel as JSON.
PRELUDE = """
import { readFileSync } from "node:fs";
globalThis.ImageData = class {
  constructor(...values) {
    const [data, width, height] = values.length > 2 ? values : [null, ...values];
    Object.assign(this, { width, height, data: data ?? new Uint8ClampedArray(4 * width * height) });
  }
};
const pictureOf = ({ width, height, data }) =>
  new ImageData(Uint8ClampedArray.from(data), width, height);
const input = JSON.parse(readFileSync(0, "utf-8"));
const output = await (async () => { %s })();
const plain = (_, value) => ArrayBuffer.isView(value) ? Array.from(value) : value;
process.stdout.write(JSON.stringify(output ?? null, plain));
"""


def missing() -> str | None:
    """Which program is missing, if any."""
    return None if shutil.which(NODE) else "node"


class Modules:
    """A copy of the page's modules that Node.js takes for modules.

    Args:
        folder: for the copy.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for source in STATIC.rglob("*.js"):
            target = folder / source.relative_to(STATIC)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        (folder / "package.json").write_text('{"type": "module"}')

    def run(self, imports: str, body: str, **values: Any) -> Any:
        """What a function body returns.

        imports: names and module, as in `{ tile } from "./local/tiling.js"`; body: reads `input`,
        an object of `values`, whose arrays become lists.
        """
        lines = "".join(f"import {line};\n" for line in imports.split("; "))
        script = self.folder / "script.js"
        script.write_text(lines + PRELUDE % body)
        text = json.dumps(values, default=_plain)
        done = subprocess.run(
            [NODE, script], input=text, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(type(value))


def rgba(image: np.ndarray) -> dict[str, Any]:
    """(H, W, 3) or (H, W, 4) uint8 as `pictureOf` takes it."""
    height, width, channels = image.shape
    if channels == 3:
        image = np.dstack([image, np.full((height, width), 255, np.uint8)])
    return {"width": width, "height": height, "data": image.ravel()}
