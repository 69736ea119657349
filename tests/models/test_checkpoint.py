"""Reading, writing and converting weights."""

import argparse
import contextlib
import logging
import pickle
import random
import resource
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from vectors import TINY, fill_by_name

from models import build_upocr
from models.checkpoint import (
    PROMPTS,
    CheckpointError,
    build_from_checkpoint,
    convert_imagenet_encoder,
    load_checkpoint,
    load_pretrained_decoder,
    load_pretrained_encoder,
    load_weights,
    save_atomically,
)
from tasks import OFFICIAL_TASKS as TASKS
from utils.optim import build_optimizer

SHUFFLED = (TASKS[2], TASKS[0], TASKS[1])


@pytest.fixture
def model():
    model = build_upocr("upocr", **TINY)
    fill_by_name(model)
    return model


def test_several_names_of_one_write(tmp_path):
    paths = [tmp_path / "a.pth", tmp_path / "b.pth"]
    save_atomically({"x": torch.ones(3)}, paths)
    assert all(torch.equal(torch.load(path)["x"], torch.ones(3)) for path in paths)
    save_atomically({"x": torch.zeros(3)}, paths[:1])
    assert torch.equal(torch.load(paths[1])["x"], torch.ones(3))  # the other name is its own file
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pth", "b.pth"]


def test_interrupted_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.pth"
    save_atomically({"x": 1}, [path])
    before = path.read_bytes()

    def half(content, file):
        file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="no space"):
        save_atomically({"x": 2}, [path])
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.pth"]


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"model": s}], ids=["bare", "wrapped"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_official_weights_give_the_same_model(model, tmp_path, wrap, prefix):
    state = {prefix + name: value for name, value in model.state_dict().items()}
    state[prefix + "vgg16.enc_1.0.weight"] = torch.zeros(64, 3, 3, 3)
    name = "encoder.backbone.layers.0.blocks.0.attn.relative_coords_table"
    state[prefix + name] = model.encoder.backbone.layers[0].blocks[0].attn.relative_coords_table
    torch.save(wrap(state), tmp_path / "official.pth")
    checkpoint = load_checkpoint(tmp_path / "official.pth")
    assert list(checkpoint.vgg16) == ["vgg16.enc_1.0.weight"]
    loaded = build_from_checkpoint(checkpoint)
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name


@pytest.mark.parametrize(("window", "pretrained"), [(8, 8), (12, 6), (4, 16), (8, 0)])
def test_windows_are_read_off_the_derived_table(tmp_path, window, pretrained):
    numbers = TINY | {"enc_window_size": window, "enc_pretrained_window_size": pretrained}
    model = build_upocr("upocr", **numbers)
    state = model.state_dict()
    for name, module in model.named_modules():
        if hasattr(module, "relative_coords_table"):
            state[f"{name}.relative_coords_table"] = module.relative_coords_table
    torch.save(state, tmp_path / "official.pth")
    found = load_checkpoint(tmp_path / "official.pth").architecture
    assert found["enc_window_size"] == window
    assert found["enc_pretrained_window_size"] == (pretrained or window)
    assert found["dec_window_size"] == 8
    assert found["enc_depths"] == [2, 2, 2, 2]
    assert found["dec_num_heads"] == [24, 12, 6, 3, 2]


def test_options_of_an_official_training_file(model, tmp_path):
    args = argparse.Namespace(
        swin_dec_window_size=4, swin_enc_drop_path_rate=0.2, pix2pix_size=256, device="cuda"
    )
    torch.save({"model": model.state_dict(), "args": args}, tmp_path / "official.pth")
    found = load_checkpoint(tmp_path / "official.pth")
    assert found.architecture["dec_window_size"] == 4
    assert found.architecture["enc_drop_path"] == 0.2
    assert found.image_size == 256


def test_a_checkpoint_keeps_its_own_row_order(model, tmp_path):
    optimizer = build_optimizer(model, 1e-3, 0.1, 0.0)
    for index, parameter in enumerate(model.parameters()):
        parameter.grad = torch.full_like(parameter, float(index))
    prompts = model.task_prompt.task_embedding.weight
    prompts.grad = torch.arange(3.0)[:, None].expand_as(prompts).contiguous()
    optimizer.step()
    content = {"model": model.state_dict(), "architecture": model.architecture}
    content |= {"optimizer": optimizer.state_dict(), "tasks": list(SHUFFLED)}
    torch.save(content, tmp_path / "shuffled.pth")
    checkpoint = load_checkpoint(tmp_path / "shuffled.pth")

    assert checkpoint.tasks == SHUFFLED
    resumed = build_from_checkpoint(checkpoint)
    assert resumed.tasks == SHUFFLED
    table = resumed.task_prompt.task_embedding.weight
    assert torch.equal(table, prompts)
    optimizer = build_optimizer(resumed, 1e-3, 0.1, 0.0)
    optimizer.load_state_dict(checkpoint.training["optimizer"])
    moment = optimizer.state[table]["exp_avg"][:, 0]
    assert moment.tolist() == pytest.approx([0.0, 0.1, 0.2])  # of the same rows
    by_name = resumed.task_prompt.rows(TASKS, 3)
    assert by_name.tolist() == [SHUFFLED.index(task) for task in TASKS]


def prompts_of(network) -> torch.Tensor:
    return network.task_prompt.task_embedding.weight.detach()


def saved(model, path, **entries):
    content = {"model": model.state_dict(), "architecture": model.architecture}
    torch.save(content | {"tasks": list(model.tasks)} | entries, path)
    return load_checkpoint(path)


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        (TASKS, []),
        (TASKS[::-1], []),
        (TASKS[1:2], ["without the prompts of text_removal, text_segmentation"]),
        ((*TASKS, "handwriting"), ["fresh prompts for handwriting"]),
        (
            ("handwriting", TASKS[2], "stamps"),
            [
                "fresh prompts for handwriting, stamps; "
                "without the prompts of text_removal, tampered_text_detection"
            ],
        ),
    ],
)
def test_other_tasks_are_picked_by_name(model, tmp_path, caplog, tasks, said):
    caplog.set_level(logging.INFO)
    path = tmp_path / "three.pth"
    found = build_from_checkpoint(saved(model, path), tasks)
    assert found.tasks == tasks
    for row, task in zip(prompts_of(found), tasks, strict=True):
        if task in TASKS:
            assert torch.equal(row, prompts_of(model)[TASKS.index(task)])
        else:
            assert row.std().item() == pytest.approx(prompts_of(model).std().item(), rel=0.3)
            assert not (row == prompts_of(model)).any()
    assert caplog.messages == [f"{path}: {line}" for line in said]
    for (name, a), b in zip(model.named_parameters(), found.parameters(), strict=True):
        assert torch.equal(a, b) or name == PROMPTS


def test_fresh_prompts_differ_and_the_seed_decides(model, tmp_path):
    checkpoint = saved(model, tmp_path / "three.pth")
    tables = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        tables.append(prompts_of(build_from_checkpoint(checkpoint, ("a", "b"))))
    assert torch.equal(tables[0], tables[1])
    assert not (tables[0] == tables[2]).any()
    assert not (tables[0][0] == tables[0][1]).any()


def test_a_task_that_was_not_trained_is_refused(model, tmp_path):
    checkpoint = saved(model, tmp_path / "three.pth")
    checkpoint.require(TASKS[2])
    trained = "text_removal, tampered_text_detection, text_segmentation"
    with pytest.raises(
        CheckpointError, match=rf"three\.pth: was trained on {trained}; not on handwriting"
    ):
        checkpoint.require("handwriting")
    with pytest.raises(ValueError, match=f"trained on {trained}; not on handwriting"):
        build_from_checkpoint(checkpoint)(torch.zeros(1, 3, 32, 32), ["handwriting"])


@pytest.mark.parametrize("tasks", [TASKS[:2], [*TASKS, "handwriting"]])
def test_tasks_that_do_not_fit_the_prompts_are_refused(model, tmp_path, tasks):
    torch.save({"model": model.state_dict(), "tasks": list(tasks)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=f"3 task prompts for the {len(tasks)} tasks"):
        load_checkpoint(tmp_path / "other.pth")


def test_tasks_are_official_where_a_file_names_none(model, tmp_path):
    torch.save(model.state_dict(), tmp_path / "official.pth")
    assert load_checkpoint(tmp_path / "official.pth").tasks == TASKS


def test_options_of_a_run_are_kept(model, tmp_path):
    options = {"model": {"variant": "upocr"}, "data": {"paths": ["a.yaml"]}, "run": {"seed": 3}}
    assert saved(model, tmp_path / "new.pth", options=options).options == options
    assert saved(model, tmp_path / "old.pth").options == {}


def test_overrides_replace_numbers_of_the_checkpoint(model, tmp_path):
    checkpoint = saved(model, tmp_path / "a.pth")
    wider = build_from_checkpoint(checkpoint, enc_window_size=8, dec_drop_path=0.2)
    assert wider.architecture["enc_window_size"] == 8
    assert wider.decoder.layers[-1].blocks[-1].drop_path.p == pytest.approx(0.2)
    with pytest.raises(CheckpointError, match=r"a\.pth: weights do not fit the model"):
        build_from_checkpoint(checkpoint, embed_dim=48)
    with pytest.raises(CheckpointError, match=r"a\.pth: unknown architecture options \['depth'\]"):
        build_from_checkpoint(checkpoint, depth=3)


class Evil:
    def __reduce__(self):
        return (print, ("code ran",))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_code_in_a_file_is_refused(tmp_path, capsys):
    torch.save({"model": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match=r"evil\.pth: holds .*print.*not loaded for safety"):
        load_checkpoint(tmp_path / "evil.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError, match=r"plain\.pth: "):
        load_checkpoint(tmp_path / "plain.pth")
    assert "code ran" not in capsys.readouterr().out


@pytest.mark.parametrize("keep", [0, 10, 1000, -1000])
def test_truncated_files_are_named(model, tmp_path, keep):
    path = tmp_path / "cut.pth"
    torch.save({"model": model.state_dict()}, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"cut\.pth: ") as error:
        load_checkpoint(path)
    assert "\n" not in str(error.value)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_bytes_are_one_error_whatever_they_break(model, tmp_path, suffix):
    path = tmp_path / f"broken{suffix}"
    content = {"model": {"a": torch.ones(9)}, "epoch": 3, "best": {"x": 0.5}}
    if suffix == ".pth":
        torch.save(content, path, _use_new_zipfile_serialization=False)  # no checksums
    else:
        save_file(content["model"], path)
    sound, generator = path.read_bytes(), random.Random(0)
    for _ in range(300):
        damaged = bytearray(sound)
        for _ in range(4):
            damaged[generator.randrange(len(sound))] = generator.randrange(256)
        path.write_bytes(damaged)
        with contextlib.suppress(CheckpointError):  # anything else fails the test
            load_checkpoint(path)


ENTRIES = {
    "tasks": [7, None, "text_removal", [1, 2, 3], ["a", "a", "b"][:2]],
    "options": [[], None, "options"],
    "architecture": ["upocr", [], {"embed_dim": 24}, TINY | {"embed_dim": -24}, TINY | {"x": 1}],
    "image_size": ["512", 100, -32, None],
    "epoch": ["3", 1.5],
    "optimizer": [[]],
    "rng": [{}],
    "best": [0.3],
    "model": [[1], {"proj.weight": 1}, {3: torch.ones(1)}, torch.ones(2)],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in ENTRIES.items() for value in values]
)
def test_entries_that_no_training_wrote_are_named(model, tmp_path, name, value):
    path = tmp_path / "odd.pth"
    torch.save({"model": model.state_dict(), "architecture": model.architecture, name: value}, path)
    with pytest.raises(CheckpointError, match=r"odd\.pth: ") as error:
        load_checkpoint(path)
    assert "\n" not in str(error.value)


def test_a_full_disk_is_an_os_error_and_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.pth"
    save_atomically({"x": 1}, [path])
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"a\.pth: cannot be written|File too large"):
            save_atomically({"x": torch.zeros(100_000)}, [path])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.pth"]


def test_names_without_hard_links_are_copies(tmp_path, monkeypatch):
    def refuse(self, target):
        raise OSError("no hard links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    paths = [tmp_path / "a.pth", tmp_path / "b.pth"]
    save_atomically({"x": torch.ones(3)}, paths)
    assert all(torch.equal(torch.load(path)["x"], torch.ones(3)) for path in paths)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.pth", "b.pth"]


def test_misfits_are_listed(model, tmp_path):
    state = model.state_dict()
    state["extra"] = state.pop("proj.bias")
    state["proj.weight"] = torch.zeros(2, 2)
    with pytest.raises(CheckpointError) as error:
        load_weights(model, state, tmp_path / "x.pth")
    message = str(error.value)
    assert "1 missing (proj.bias)" in message
    assert "1 left over (extra)" in message
    assert "proj.weight (2, 2) for (192, 192)" in message


def microsoft(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """timm's names -> those of Microsoft's release, which also stores what is derived."""
    renamed = {}
    for name, value in state.items():
        parts = name.split(".")
        if parts[0] == "layers" and parts[2] == "downsample":
            parts[1] = str(int(parts[1]) - 1)
        renamed[".".join(parts).replace("head.fc.", "head.")] = value
    renamed["layers.0.blocks.1.attn_mask"] = torch.zeros(4, 64, 64)
    renamed["layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(64, 64)
    return {"model": renamed}


@pytest.mark.parametrize("layout", [microsoft, lambda state: state], ids=["microsoft", "timm"])
def test_imagenet_encoders(tmp_path, layout):
    source = timm.create_model("swinv2_tiny_window8_256", num_classes=3)
    torch.save(layout(source.state_dict()), tmp_path / "imagenet.pth")
    model = build_upocr("upocr", **(TINY | {"embed_dim": 96, "enc_depths": [2, 2, 6, 2]}))
    fresh = model.encoder.backbone.norm0.weight.clone()
    load_pretrained_encoder(model, tmp_path / "imagenet.pth")
    backbone = model.encoder.backbone
    attention = source.layers[2].blocks[5].attn
    assert torch.equal(backbone.layers[2].blocks[5].attn.qkv.weight, attention.qkv.weight)
    reduction = source.layers[1].downsample.reduction.weight
    assert torch.equal(backbone.layers[0].downsample.reduction.weight, reduction)
    assert torch.equal(backbone.norm3.weight, source.norm.weight)
    assert torch.equal(backbone.norm0.weight, fresh)


def test_imagenet_encoder_of_another_size_is_refused(model, tmp_path):
    source = timm.create_model("swinv2_tiny_window8_256", num_classes=3)
    torch.save(source.state_dict(), tmp_path / "imagenet.pth")
    with pytest.raises(CheckpointError, match=r"imagenet\.pth: weights do not fit"):
        load_pretrained_encoder(model, tmp_path / "imagenet.pth")


@pytest.mark.parametrize("content", [{"model": [1]}, {1: torch.ones(1)}, {"a": "b"}])
def test_an_encoder_file_without_weights_is_named(model, tmp_path, content):
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match=r"odd\.pth: "):
        load_pretrained_encoder(model, tmp_path / "odd.pth")


def test_conversion_leaves_nothing_out():
    state = timm.create_model("swinv2_tiny_window8_256", num_classes=3).state_dict()
    converted = convert_imagenet_encoder(state)
    expected = [name for name in state if not name.startswith("head") and "k_bias" not in name]
    assert len(converted) == len(expected)


class Timm:
    """timm with a SwinV2 of known weights in place of a download."""

    def __init__(self, monkeypatch):
        self.model = timm.create_model("swinv2_tiny_window8_256", num_classes=3)
        self.asked: list[str] = []
        monkeypatch.setattr(timm, "create_model", self.create_model)

    def create_model(self, name, pretrained):
        assert pretrained
        self.asked.append(name)
        return self.model


@pytest.fixture
def fake_timm(monkeypatch):
    return Timm(monkeypatch)


WINDOW8 = TINY | {"embed_dim": 96, "enc_depths": [2, 2, 6, 2], "enc_window_size": 8}


def test_an_encoder_of_timm_is_fetched_by_name(fake_timm):
    name = "swinv2_tiny_window8_256.ms_in1k"
    model = build_upocr("upocr", **WINDOW8, enc_pretrained_window_size=8)
    load_pretrained_encoder(model, f"timm:{name}")
    assert fake_timm.asked == [name]
    expected = fake_timm.model.layers[2].blocks[5].attn.qkv.weight
    assert torch.equal(model.encoder.backbone.layers[2].blocks[5].attn.qkv.weight, expected)
    assert torch.equal(model.encoder.backbone.norm3.weight, fake_timm.model.norm.weight)


@pytest.mark.parametrize(
    "name",
    [
        "swinv2_gigantic",
        "swinv2_tiny_window8_256",
        "resnet50.a1_in1k",
        "",
        "swinv2_cr_tiny_224",
    ],
)
def test_other_names_for_timm_list_the_choices(fake_timm, model, name):
    with pytest.raises(
        ValueError, match=rf"timm:{name}: .* swinv2_small_window16_256\.ms_in1k"
    ) as error:
        load_pretrained_encoder(model, f"timm:{name}")
    assert not fake_timm.asked
    assert "\n" not in str(error.value)


def test_numbers_of_timm_that_do_not_fit_are_named(fake_timm):
    name = "timm:swinv2_tiny_window8_256.ms_in1k"
    narrow = build_upocr("upocr", **WINDOW8 | {"embed_dim": 48}, enc_pretrained_window_size=0)
    with pytest.raises(ValueError, match=f"{name}: weights do not fit the model: ") as error:
        load_pretrained_encoder(narrow, name)
    assert "\n" not in str(error.value)
    rescaled = build_upocr("upocr", **WINDOW8, enc_pretrained_window_size=16)
    with pytest.raises(ValueError, match=f"{name}: .* windows of 8, .* 16: .*_enc_pretrained_ws 8"):
        load_pretrained_encoder(rescaled, name)


@pytest.mark.parametrize("kind", [OSError, RuntimeError])
def test_offline_the_file_to_download_is_named(model, monkeypatch, kind):
    def refuse(*_, **__):
        raise kind("cannot reach\nthe hub")

    monkeypatch.setattr(timm, "create_model", refuse)
    with pytest.raises(ValueError, match="cannot reach the hub") as error:
        load_pretrained_encoder(model, "timm:swinv2_small_window16_256.ms_in1k")
    name = "swinv2_small_window16_256.ms_in1k"
    assert f"/timm/{name}/resolve/main/model.safetensors" in str(error.value)
    assert f"--pretrained_encoder pretrained/{name}.safetensors" in str(error.value)
    assert "\n" not in str(error.value)


def test_halves_of_a_upocr_file(model, tmp_path):
    torch.save({"model": model.state_dict()}, tmp_path / "whole.pth")
    fresh = build_upocr("upocr", **TINY)
    start = fresh.proj.weight.clone()
    load_pretrained_encoder(fresh, tmp_path / "whole.pth")
    load_pretrained_decoder(fresh, tmp_path / "whole.pth")
    for half in ("encoder", "decoder"):
        pairs = zip(
            getattr(fresh, half).parameters(), getattr(model, half).parameters(), strict=True
        )
        assert all(torch.equal(a, b) for a, b in pairs)
    assert torch.equal(fresh.proj.weight, start)
