"""Options from the command line, a configuration file and a checkpoint."""

import json

import pytest
import yaml
from vectors import REFERENCE

from models import VARIANTS
from models.checkpoint import IMAGE_SIZE
from options import Options, changes, parse_command_line, resolve
from tasks import TEXT_SEGMENTATION


def options_of(*arguments: object, earlier: dict | None = None) -> Options:
    return resolve(parse_command_line([str(each) for each in arguments]), earlier or {})


MINIMUM = ("--data_cfg_paths", "x", "--output_dir", "out")


def test_defaults_are_those_of_the_official_command_line():
    official = json.loads((REFERENCE / "cli_defaults.json").read_text())
    options = options_of(*MINIMUM)
    groups = (options.run, options.data, options.optimisation, options.model)
    ours = {name: value for group in groups for name, value in vars(group).items()}
    gone = {
        *("encoder", "decoder", "intermediate_output"),  # one choice each
        *("world_size", "dist_url", "local_rank", "init_method"),  # torchrun's own
    }
    assert gone == set(official) - set(ours)
    # Several data sets at once, or automatic.
    other = {"data_cfg_paths", "output_dir", "eval_data_cfg_path", "device"}
    # Taken from the variant, the weights or the task unless given.
    numbers = {
        name: options.model.__dataclass_fields__[name].metadata.get("number")
        for name in vars(options.model)
    }
    resolved = {
        name: VARIANTS["upocr"][number] for name, number in numbers.items() if number is not None
    }
    resolved |= {"pix2pix_size": IMAGE_SIZE, "textseg_conf_thres": TEXT_SEGMENTATION.threshold}
    assert all(ours[name] is None for name in resolved)
    for name in set(official) - gone - other:
        assert resolved.get(name, ours[name]) == official[name], name


@pytest.mark.parametrize(("text", "value"), [("true", True), ("No", False), ("1", True)])
def test_booleans(text, value):
    assert options_of(*MINIMUM, "--amp", text).run.amp is value


def test_task_weights_are_tasks_with_factors():
    options = options_of(*MINIMUM, "--task_weights", "text_removal=0.2", "mine=3")
    assert options.optimisation.task_weights == {"text_removal": 0.2, "mine": 3.0}


@pytest.mark.parametrize("text", ["=1", "text_removal", "text_removal=x", "text_removal=-1"])
def test_malformed_task_weights(text):
    with pytest.raises(ValueError, match=f"--task_weights: '{text}' is not NAME=FACTOR"):
        options_of(*MINIMUM, "--task_weights", text)


def test_lists_and_numbers_of_the_architecture():
    model = options_of(*MINIMUM, "--swin_enc_depths", 1, 1, 2, 1, "--swin_enc_embed_dim", 8).model
    assert model.numbers() == {"embed_dim": 8, "enc_depths": [1, 1, 2, 1]}


def test_options_survive_a_configuration_file(tmp_path):
    options = options_of(
        *(*MINIMUM, "--swin_dec_depths", 1, 1, 2, 1, 1, "--task_weights", "text_removal=0.5"),
        *("--lr", "1e-3", "--amp", "true", "--scratch_init", "false"),
    )
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(options.to_dict() | {"resolved": {"device": "cpu"}}))
    assert options_of("--config", path).to_dict() == options.to_dict()
    other = options_of("--config", path, "--lr", "2e-3")
    assert other.optimisation.lr == 2e-3
    assert other.optimisation.task_weights == {"text_removal": 0.5}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("3", "expected the groups run, data, optimisation, model"),
        ("", "expected the groups"),
        ("other: {}", "unknown group 'other'"),
        ("run: 3", "unknown group 'run'"),
        ("run: {lr: 3}", "unknown option 'lr' in run"),
        ("run: {resume: a.pth}", "unknown option 'resume' in run"),
        ("run: {seed: many}", "seed is 'many', expected <class 'int'>"),
        ("run: {amp: 1}", "amp is 1, expected <class 'bool'>"),
        ("data: {data_cfg_paths: x}", "data_cfg_paths is 'x'"),
        ("run: [", "not a YAML file"),
    ],
)
def test_a_bad_configuration_is_named(tmp_path, content, message):
    path = tmp_path / "config.yaml"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"config\.yaml: ") as error:
        options_of("--config", path)
    assert message in str(error.value)


def test_a_missing_configuration_is_named():
    with pytest.raises(ValueError, match=r"no\.yaml: cannot read this file"):
        options_of("--config", "no.yaml")


def test_a_resumed_run_keeps_its_options_and_moves_with_its_folder():
    first = options_of(*MINIMUM, "--lr", "1e-3", "--epochs", 7)
    resumed = options_of("--resume", "moved/last.pth", "--epochs", 9, earlier=first.to_dict())
    assert resumed.optimisation.lr == 1e-3
    assert resumed.optimisation.epochs == 9
    assert resumed.run.output_dir == "moved"
    assert changes(resumed, first.to_dict()) == ["--epochs is 9, the resumed run had 7"]


def test_a_file_without_options_needs_an_output_folder():
    with pytest.raises(ValueError, match="--output_dir"):
        options_of("--resume", "official.pth", "--data_cfg_paths", "x")
