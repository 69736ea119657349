"""The documents: their commands name options, files and functions that exist."""

import re
import shlex

import pytest
from small_run import ROOT

import main
import predict
from benchmarks import ablations, data, inference, large_image, memory, profile, seams, training
from datasets.check import __main__ as check
from datasets.prepare import scut_enstext
from eval.text_removal import evaluation
from synthesis import synthesize
from tools import baselines, contact_sheet, export, false_alarms, gallery, inpainting, text_masks

DOCUMENTS = [
    (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "benchmarks/README.md", "pretrained/MODEL_CARD.md")
]
README = DOCUMENTS[0]
PARSERS = {
    "main.py": main.build_parser,
    "predict.py": predict.build_parser,
    "eval/text_removal/evaluation.py": evaluation.build_parser,
    "tools.baselines": baselines.build_parser,
    "tools.contact_sheet": contact_sheet.build_parser,
    "tools.false_alarms": false_alarms.build_parser,
    "tools.gallery": gallery.build_parser,
    "tools.inpainting": inpainting.build_parser,
    "tools.text_masks": text_masks.build_parser,
    "datasets.check": check.build_parser,
    "datasets.prepare.scut_enstext": scut_enstext.build_parser,
    "synthesis.synthesize": synthesize.build_parser,
    "tools.export": export.build_parser,
    "benchmarks.ablations": ablations.build_parser,
    "benchmarks.data": data.build_parser,
    "benchmarks.inference": inference.build_parser,
    "benchmarks.large_image": large_image.build_parser,
    "benchmarks.memory": memory.build_parser,
    "benchmarks.profile": profile.build_parser,
    "benchmarks.seams": seams.build_parser,
    "benchmarks.training": training.build_parser,
}


def commands() -> list[list[str]]:
    """Every command of a program of ours, from its name on: lines, and code inside of sentences."""
    found = []
    for document in DOCUMENTS:
        text = document.replace("\\\n", " ")
        lines = re.findall(r"^ *(?:python|torchrun) .*$", text, re.MULTILINE)
        lines += re.findall(r"(?<!`)`((?:python|torchrun) (?!-m`)[^`]+)`", text)
        for line in lines:
            words = [word for word in shlex.split(line, comments=True) if word != "…"]
            start = next(index for index, word in enumerate(words) if word in PARSERS)
            found.append(words[start:])
    return found


def test_every_program_is_shown():
    shown = {line[0] for line in commands()}
    named = set(re.findall(r"`(benchmarks\.\w+)`", DOCUMENTS[1]))
    assert shown | named == set(PARSERS)


@pytest.mark.parametrize(
    "line", [line for line in commands() if line[1:]], ids=lambda line: line[0]
)
def test_commands_have_only_options_that_exist(line):
    PARSERS[line[0]]().parse_args(line[1:])  # exits on anything else


def test_options_in_the_text_exist():
    known = {
        option
        for build in PARSERS.values()
        for action in build()._actions
        for option in action.option_strings
    }
    others = {"--shm-size", "--nproc_per_node"}  # of docker and of torchrun
    gone = {"--encoder", "--decoder", "--intermediate_output", "--world_size", "--dist_url"}
    gone |= {"--local_rank", "--init_method"}  # named as the official ones that are left out
    assert set(re.findall(r"--[a-z]\w[\w-]*", README)) - known <= others | gone


def test_files_that_are_named_exist():
    names = set(re.findall(r"\b(?:data_configs|tests|docs|eval/text_removal)/[\w./-]*\w", README))
    made = {"data_configs/train/mine.yaml"}
    missing = {name for name in names - made if not (ROOT / name).exists()}
    assert missing == set()
    assert len(names) > 8
