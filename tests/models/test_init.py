"""Both initialisations."""

import pytest
import skimage.data
import torch
from torch import Tensor, nn
from vectors import reference_input

from models import VARIANTS, build_upocr
from tasks import OFFICIAL_TASKS

IMAGE = reference_input("invariants", (3, 3, 64, 96))[:1]


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def photo() -> Tensor:
    """(1, 3, 256, 256) in [0, 1]."""
    pixels = torch.from_numpy(skimage.data.astronaut()[:256, :256].copy())
    return pixels.permute(2, 0, 1)[None] / 255


def test_nano_is_small_and_starts_from_scratch():
    nano = build_upocr("upocr_nano")
    assert 1e6 < sum(p.numel() for p in nano.parameters()) < 10e6
    prompts = nano.task_prompt.task_embedding.weight
    assert 0.9 < prompts.std().item() < 1.1
    assert all(not lateral[-1].weight.any() for lateral in nano.decoder.lateral_connection_list)
    outputs = nano(IMAGE, [OFFICIAL_TASKS])[-1][0]
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
def test_from_scratch_the_patches_show_more_than_their_mean_colour(photo):
    shares = {}
    for scratch_init in (True, False):
        model = build_upocr("upocr_nano", scratch_init=scratch_init)
        tokens = model.encoder.backbone.patch_embed.proj(photo)[0].flatten(1)
        variances = torch.linalg.eigvalsh(torch.cov(tokens))
        shares[scratch_init] = (variances[-1] / variances.sum()).item()
    assert shares[True] < 0.2
    assert shares[False] > 0.8


@torch.no_grad()
def test_from_scratch_the_first_block_sees_how_strong_a_wave_is(photo):
    """Whatever its sign: noise and compression change the magnitude."""
    backbone = build_upocr("upocr_nano").encoder.backbone
    waves = backbone.patch_embed.proj(photo)[0, 3:18].flatten(1)  # of luminance
    tokens = backbone.patch_embed(photo)
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
