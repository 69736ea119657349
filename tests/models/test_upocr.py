"""Invariants of the model and its builder."""

import copy

import pytest
import skimage.data
import torch
from torch import nn
from vectors import reference_input

from models import TASKS, build_upocr
from models.build import VARIANTS

IMAGES = reference_input("invariants", (3, 3, 64, 96))


@torch.no_grad()
def test_mixed_batch_equals_single_images(tiny_model):
    # In float64: in float32 these weights turn rounding into differences of 1e-3.
    tiny_model.double()
    together = tiny_model(IMAGES.double(), list(TASKS))
    for index, task in enumerate(TASKS):
        alone = tiny_model(IMAGES[index : index + 1].double(), [task])
        for batched, single in zip(together, alone, strict=True):
            torch.testing.assert_close(batched[index], single[0])


@torch.no_grad()
def test_names_and_rows_mean_the_same(tiny_model):
    by_name = tiny_model(IMAGES, list(TASKS))
    by_row = tiny_model(IMAGES, torch.arange(3))
    assert all(torch.equal(a, b) for a, b in zip(by_name, by_row, strict=True))


@torch.no_grad()
def test_outputs_are_three_scales_coarse_to_fine(tiny_model):
    shapes = [tuple(output.shape) for output in tiny_model(IMAGES, list(TASKS))]
    assert shapes == [(3, 3, 16, 24), (3, 3, 32, 48), (3, 3, 64, 96)]


@pytest.mark.parametrize(
    ("shape", "tasks", "message"),
    [
        ((1, 3, 64, 65), ["text_removal"], "64 x 65, expected multiples of 32"),
        ((1, 3, 0, 32), ["text_removal"], "0 x 32"),
        ((3, 64, 64), ["text_removal"], "expected \\(B, 3, H, W\\)"),
        ((1, 1, 64, 64), ["text_removal"], "expected \\(B, 3, H, W\\)"),
        ((1, 3, 32, 32), ["text_erasure"], "unknown tasks \\['text_erasure'\\]"),
        ((1, 3, 32, 32), "text_removal", "expected a list of 1 task names"),
        ((2, 3, 32, 32), ["text_removal"], "1 tasks for a batch of 2"),
        ((1, 3, 32, 32), torch.tensor([3]), "rows 0 to 2"),
        ((1, 3, 32, 32), torch.tensor([-1]), "rows 0 to 2"),
        ((1, 3, 32, 32), torch.tensor([0.0]), "expected int64"),
    ],
)
def test_bad_arguments_are_named(tiny_model, shape, tasks, message):
    with pytest.raises(ValueError, match=message):
        tiny_model(torch.zeros(shape), tasks)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "upocr_huge"}, "unknown variant 'upocr_huge'"),
        ({"depth": 3}, "unknown architecture options \\['depth'\\]"),
        ({"enc_depths": [2, 2, 2]}, "expected 4 positive numbers"),
        ({"dec_num_heads": [5, 12, 6, 3, 2]}, "does not divide into 5 heads"),
        ({"enc_window_size": 7}, "enc_window_size 7 must be even"),
        ({"dec_drop_path": 1.0}, "not in \\[0, 1\\)"),
    ],
)
def test_builder_names_what_does_not_fit(arguments, message):
    with pytest.raises(ValueError, match=message):
        build_upocr(**arguments)


def test_nano_is_small_and_starts_from_scratch():
    nano = build_upocr("upocr_nano")
    assert 1e6 < sum(p.numel() for p in nano.parameters()) < 10e6
    prompts = nano.task_prompt.task_embedding.weight
    assert 0.9 < prompts.std().item() < 1.1
    assert all(not lateral[-1].weight.any() for lateral in nano.decoder.lateral_connection_list)
    outputs = nano(IMAGES[:1].expand(3, -1, -1, -1), list(TASKS))[-1]
    assert 0 < outputs.abs().max() < 0.1  # nearly black, yet not the same for two tasks
    assert (outputs[0] - outputs[1]).abs().mean() > 1e-4


@torch.no_grad()
def test_from_scratch_every_feature_reaches_the_end_of_its_lateral_connection():
    for lateral in build_upocr("upocr_nano").decoder.lateral_connection_list:
        features = torch.randn(1, lateral[0].in_channels, 8, 8)
        carried = nn.Sequential(*list(lateral)[:-1])(features).unflatten(1, (2, -1))  # two copies
        for half in carried.unbind(1):
            assert torch.corrcoef(torch.stack((half.flatten(), features.flatten())))[0, 1] > 0.8
        assert not torch.equal(*carried.unbind(1))


@torch.no_grad()
def test_from_scratch_the_patches_show_more_than_their_mean_colour():
    photo = torch.from_numpy(skimage.data.astronaut()[:256, :256].copy()).permute(2, 0, 1) / 255
    shares = {}
    for scratch_init in (True, False):
        model = build_upocr("upocr_nano", scratch_init=scratch_init)
        tokens = model.encoder.backbone.patch_embed.proj(photo[None])[0].flatten(1)
        variances = torch.linalg.eigvalsh(torch.cov(tokens))
        shares[scratch_init] = (variances[-1] / variances.sum()).item()
    assert shares[True] < 0.2
    assert shares[False] > 0.8


@torch.no_grad()
def test_from_scratch_the_first_block_sees_how_strong_a_wave_is():
    """Its sign does not matter: that is what noise and compression change."""
    photo = torch.from_numpy(skimage.data.astronaut()[:256, :256].copy()).permute(2, 0, 1) / 255
    backbone = build_upocr("upocr_nano").encoder.backbone
    waves = backbone.patch_embed.proj(photo[None])[0, 3:18].flatten(1)  # of light
    tokens = backbone.patch_embed(photo[None])
    found = []
    for features in (tokens, backbone.layers[0].blocks[0](tokens)):
        both = torch.cat((waves.abs(), features[0].flatten(0, 1).T))
        found.append(torch.corrcoef(both)[:15, 15:].nan_to_num(0).amax(1))
    assert found[0].median() < 0.5  # what edges of one sign alone have in common with both
    assert found[1].median() > 0.5
    assert found[1].max() > 0.75


def test_patches_of_a_wide_model_start_from_scratch_too():
    """More channels than there are waves: the others stay random."""
    weight = build_upocr("upocr_nano", scratch_init=True, embed_dim=64)
    weight = weight.encoder.backbone.patch_embed.proj.weight.flatten(1)
    waves = nn.functional.normalize(weight[:48], dim=1)
    torch.testing.assert_close(waves @ waves.T, torch.eye(48), rtol=0, atol=1e-5)
    assert weight[48:].abs().sum() > 0


def test_paper_variants_start_as_the_reference():
    overrides = {"enc_depths": [2, 2, 2, 2], "dec_depths": [2, 2, 2, 2, 2]}
    model = build_upocr("upocr", **overrides)
    dim = 8 * VARIANTS["upocr"]["embed_dim"]
    prompts = model.task_prompt.task_embedding.weight
    assert prompts.std().item() == pytest.approx((2 / dim) ** 0.5, rel=0.1)  # Kaiming normal
    assert all(lateral[-1].weight.any() for lateral in model.decoder.lateral_connection_list)
    block = model.encoder.backbone.layers[0].blocks[0]
    assert not block.norm1.weight.any()
    assert not block.norm2.bias.any()
    assert block.attn.qkv.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert block.attn.logit_scale.exp().mean().item() == pytest.approx(10.0)
    assert not model.proj.bias.any()


def test_variants_differ_only_in_numbers():
    tiny = build_upocr("upocr_tiny")
    assert [len(stage.blocks) for stage in tiny.encoder.backbone.layers] == [2, 2, 6, 2]
    assert [len(stage.blocks) for stage in tiny.decoder.layers] == [2, 6, 2, 2, 2]
    assert tiny.architecture["embed_dim"] == 96


@pytest.mark.parametrize("halves", [(True, False), (False, True), (True, True)])
def test_gradient_checkpointing_changes_nothing(tiny_model, halves):
    def gradients(encoder: bool, decoder: bool) -> list[torch.Tensor]:
        tiny_model.train().zero_grad()
        tiny_model.set_grad_checkpointing(encoder=encoder, decoder=decoder)
        tiny_model(IMAGES, list(TASKS))[-1].square().mean().backward()
        # The coarser heads are not part of this loss.
        return [p.grad.clone() for p in tiny_model.parameters() if p.grad is not None]

    plain, recomputed = gradients(False, False), gradients(*halves)
    assert len(plain) == len(recomputed) > 300
    for a, b in zip(plain, recomputed, strict=True):
        torch.testing.assert_close(a, b)


def test_attention_is_the_same_with_and_without_gradients(tiny_model):
    """On a CPU training writes it out, inference calls the fused kernel."""
    tiny_model.double()  # its weights amplify the rounding of float32
    trained = tiny_model(IMAGES.double(), list(TASKS))
    with torch.no_grad():
        inferred = tiny_model(IMAGES.double(), list(TASKS))
    for a, b in zip(trained, inferred, strict=True):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-9)


@torch.no_grad()
def test_kept_position_bias_follows_the_weights(tiny_model):
    first = tiny_model(IMAGES, list(TASKS))[-1]
    assert torch.equal(first, tiny_model(IMAGES, list(TASKS))[-1])
    attention = tiny_model.encoder.backbone.layers[0].blocks[0].attn
    kept = attention._position_biases(torch.float32)
    assert attention._position_biases(torch.float32) is kept  # computed once

    attention.cpb_mlp[2].weight.mul_(3.0)
    fresh = copy.deepcopy(tiny_model)
    for module in fresh.modules():
        if hasattr(module, "_cached_bias"):
            module._cached_bias = None
    changed = tiny_model(IMAGES, list(TASKS))[-1]
    assert not torch.equal(first, changed)
    assert torch.equal(changed, fresh(IMAGES, list(TASKS))[-1])


@torch.no_grad()
def test_kept_position_bias_follows_edits_that_count_no_version(tiny_model):
    """As of moving averages, which write through `.data` and then call `eval()`."""
    attention = tiny_model.encoder.backbone.layers[0].blocks[0].attn
    before = attention._position_biases(torch.float32)[0]
    attention.cpb_mlp[2].weight.data.mul_(3.0)
    tiny_model.eval()
    assert not torch.equal(before, attention._position_biases(torch.float32)[0])


def test_a_model_made_in_inference_mode_runs():
    with torch.inference_mode():
        model = build_upocr("upocr_nano").eval()
        first = model(IMAGES, list(TASKS))[-1]
        assert torch.equal(first, model(IMAGES, list(TASKS))[-1])


@torch.no_grad()
def test_bfloat16_stays_near_float32(tiny_model):
    expected = tiny_model(IMAGES, list(TASKS))[0]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        actual = tiny_model(IMAGES, list(TASKS))[0].float()
    # Random weights amplify rounding: 6 % here, 140 % for a map that has nothing to do with it.
    assert (actual - expected).abs().mean() < 0.1 * expected.std()


def test_drop_path_grows_over_all_blocks():
    stages = build_upocr("upocr_nano", enc_drop_path=0.7).encoder.backbone.layers
    rates = [block.drop_path.p for stage in stages for block in stage.blocks]
    assert rates == pytest.approx([0.1 * index for index in range(8)])


def test_several_tasks_of_one_image_run_the_encoder_once():
    torch.manual_seed(0)
    model = build_upocr("upocr_nano").eval()
    images = torch.rand(2, 3, 64, 96)
    tasks = [("text_segmentation", "text_removal"), ("tampered_text_detection", "text_removal")]
    calls = []
    model.encoder.register_forward_hook(lambda *call: calls.append(1))
    with torch.inference_mode():
        together = model(images, tasks)
        by_rows = model(images, torch.tensor([[2, 0], [1, 0]]))
        assert len(calls) == 2
        for place in range(2):
            alone = model(images, [names[place] for names in tasks])
            for both, rows, one in zip(together, by_rows, alone, strict=True):
                assert both.shape == (2, 2, *one.shape[1:])
                torch.testing.assert_close(both[:, place], one, rtol=1e-5, atol=1e-5)
                torch.testing.assert_close(rows[:, place], one, rtol=1e-5, atol=1e-5)


def test_images_with_different_numbers_of_tasks_are_refused():
    model = build_upocr("upocr_nano")
    with pytest.raises(ValueError, match="different numbers of tasks"):
        model(torch.rand(2, 3, 32, 32), [("text_removal",), ("text_removal", "text_removal")])
