"""The documents: their commands, options, files, links and code exist and work."""

import importlib
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import yaml
from small_run import ROOT

from utils.image import write_png

FOLDERS = ("", "docs", "benchmarks", "pretrained")
PATHS = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.md"))]
DOCUMENTS = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in PATHS}
README_LINES, LINE_LENGTH = 200, 120
PROGRAMS = {
    "main.py": "options",
    "predict.py": "predict",
    "upocr": "upocr.__main__",
    "eval/text_removal/evaluation.py": "eval.text_removal.evaluation",
    "datasets.check": "datasets.check.__main__",
    "datasets.prepare.scut_enstext": "datasets.prepare.scut_enstext",
    "synthesis.synthesize": "synthesis.synthesize",
    "upocr.server": "upocr.server.command",
}
PROGRAMS |= {name: name for name in ("tests.soak.kills", "tests.soak.hosts")}
PROGRAMS |= {
    f"{path.parent.name}.{path.stem}": f"{path.parent.name}.{path.stem}"
    for room in ("benchmarks", "tools")
    for path in sorted((ROOT / room).glob("*.py"))
    if "def build_parser" in path.read_text(encoding="utf-8")
}
OF_OTHERS = {"--shm-size", "--durations"}  # docker, pytest
OF_OTHERS |= {"--nproc_per_node", "--nnodes", "--rdzv_id", "--rdzv_backend", "--rdzv_endpoint"}
OF_OTHERS |= {"--job-name", "--output", "--open-mode", "--nodes", "--ntasks-per-node"}  # sbatch
OF_OTHERS |= {"--gpus-per-node", "--cpus-per-task", "--time", "--requeue", "--signal"}
OF_OTHERS |= {"--logdir"}  # tensorboard
OF_OTHERS |= {"--directory"}  # http.server
# Named as options that the official implementation has, or that earlier versions of ours had.
GONE = {"--encoder", "--decoder", "--intermediate_output", "--world_size", "--dist_url"}
GONE |= {"--local_rank", "--init_method", "--decoys", "--honest", "--developed"}
GONE_PROGRAMS = {"datasets.prepare.synthesize", "utils.export"}
PROGRAMS_OF_OTHERS = {"http.server"}  # of Python itself
EXAMPLES = ("data_configs/train/mine.yaml", "data_configs/eval/mine.yaml")
EXAMPLES += ("data_configs/train/NAME.yaml",)


def parser_of(program: str):
    """The argument parser of a program."""
    return importlib.import_module(PROGRAMS[program]).build_parser()


def commands() -> list[tuple[str, list[str]]]:
    """Program and arguments of every command: lines, and code inside of sentences."""
    found = []
    for text in DOCUMENTS.values():
        joined = text.replace("\\\n", " ")
        programs = "(?:srun )?python|torchrun|upocr (?:remove|models)"
        lines = re.findall(rf"^ *(?:{programs}) .*$", joined, re.MULTILINE)
        lines += re.findall(r"(?<!`)`((?:python|torchrun) [^`]+)`", joined)
        for line in lines:
            words = [word for word in shlex.split(line, comments=True) if word not in ("…", "&")]
            if words != ["python", "-m"] and not (GONE_PROGRAMS | PROGRAMS_OF_OTHERS) & set(words):
                if "main.py" in words:  # after a launcher
                    words = words[words.index("main.py") :]
                start = next((i for i, word in enumerate(words) if word in PROGRAMS), None)
                assert start is not None, f"unknown program: {line}"
                found.append((words[start], words[start + 1 :]))
    return found


def code_blocks(language: str) -> list[tuple[str, str]]:
    """Document and content of every fenced block of a language."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [(name, block) for name, text in DOCUMENTS.items() for block in pattern.findall(text)]


def prose_lines(text: str) -> list[str]:
    """Lines outside of code blocks."""
    without_fences = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return [line for line in without_fences.splitlines() if not line.startswith("    ")]


def anchors(text: str) -> set[str]:
    """Anchors that the headings of a document get."""
    headings = [line.lstrip("# ") for line in prose_lines(text) if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_program_is_shown():
    named = set(re.findall(r"`((?:benchmarks|tools)\.\w+)`", "\n".join(DOCUMENTS.values())))
    assert {program for program, _ in commands()} | named >= set(PROGRAMS)


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        (program, arguments)
        for program, arguments in commands()
        if arguments not in ([], ["--help"])
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value)[:40],
)
def test_commands_have_only_options_that_exist(program, arguments):
    parser_of(program).parse_args(arguments)  # raises ValueError on anything else


def test_options_in_the_text_exist():
    known = {
        option
        for program in PROGRAMS
        for action in parser_of(program)._actions
        for option in action.option_strings
    }
    named = {
        option
        for text in DOCUMENTS.values()
        for option in re.findall(r"(?<![\w-])--[a-z][\w-]*[a-z\d](?!\w|\*)", text)
    }
    assert named - known <= OF_OTHERS | GONE


def test_targets_of_make_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    text = "\n".join(DOCUMENTS.values())
    named = set(re.findall(r"(?:^ *|`)make ([a-z]+)", text, re.MULTILINE))
    assert named <= targets
    assert {"demo", "test", "lint"} <= named


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_that_are_named_exist(name):
    rooms = r"data_configs|tests|docs|eval|models|datasets|utils|upocr|synthesis|pretrained|tools"
    text = re.sub(r"\(https?://[^)]*\)", "", DOCUMENTS[name])
    named = set(re.findall(rf"(?<![\w/.-])(?:{rooms}|benchmarks)/[\w./-]*\w", text))
    missing = {path for path in named if not (ROOT / path).exists()} - set(EXAMPLES)
    assert {path for path in missing if "synthetic-" not in path.rstrip("-")} == set()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_resolve(name):
    for target in re.findall(r"\]\(([^)\s]+)\)", "\n".join(prose_lines(DOCUMENTS[name]))):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / name).parent / path if path else ROOT / name
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), target


def test_every_page_is_linked_from_the_readme():
    pages = {name for name in DOCUMENTS if Path(name).parent.name == "docs"}
    assert {name for name in pages if f"({name})" not in DOCUMENTS["README.md"]} == set()


def test_the_readme_is_short():
    assert len(DOCUMENTS["README.md"].splitlines()) <= README_LINES


@pytest.mark.parametrize("name", DOCUMENTS)
def test_lines_are_wrapped(name):
    lines = [line for line in prose_lines(DOCUMENTS[name]) if not line.startswith("|")]
    assert [line for line in lines if len(line) > LINE_LENGTH] == []


@pytest.mark.parametrize(("name", "block"), code_blocks("python"), ids=lambda value: value[:20])
def test_python_code_compiles(name, block):
    compile(block, name, "exec")


@pytest.mark.parametrize("name", ["README.md", "docs/architecture.md"])
def test_python_code_runs(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_png(tmp_path / "photo.jpg", np.full((64, 64, 3), 200, np.uint8))
    for document, block in code_blocks("python"):
        if document == name:
            exec(compile(block, name, "exec"), {})


@pytest.mark.parametrize(("name", "block"), code_blocks("yaml"), ids=lambda value: value[:20])
def test_yaml_is_valid(name, block):
    assert isinstance(yaml.safe_load(block), dict), name
