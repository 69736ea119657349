"""The encoder against timm's SwinV2, loaded by the code path of --pretrained_encoder."""

import pytest
import timm
import torch
from vectors import reference_input, reference_parameter

from models import build_upocr
from models.checkpoint import load_pretrained_encoder

SIZE = 512  # pixels; the maps of the stages have sides 128, 64, 32, 16


@pytest.fixture(scope="module")
def timm_model() -> torch.nn.Module:
    model = timm.create_model("swinv2_small_window16_256", img_size=SIZE, num_classes=5).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # timm's own start hides what the blocks do: norms of zero, nearly uniform attention.
            parameter.copy_(reference_parameter(name, tuple(parameter.shape)))
    return model


@torch.no_grad()
@pytest.mark.slow
def test_encoder_equals_timm_where_both_define_the_same(timm_model, tmp_path):
    torch.save(timm_model.state_dict(), tmp_path / "timm.pth")
    model = build_upocr("upocr", dec_depths=[2, 2, 2, 2, 2]).eval()
    load_pretrained_encoder(model, tmp_path / "timm.pth")
    images = reference_input("timm", (1, 3, SIZE, SIZE))

    backbone = model.encoder.backbone
    x = backbone.patch_embed(images)
    stages = []
    for stage in backbone.layers:
        x = stage(x)
        stages.append(x)
        x = stage.downsample(x) if stage.downsample is not None else x
    y = timm_model.patch_embed(images)
    for index, layer in enumerate(timm_model.layers):
        if index < 3:
            y = layer(y)
            torch.testing.assert_close(stages[index], y, rtol=1e-3, atol=1e-3)
            continue
        # In the last stage one window of 16 covers the map of 16 x 16. timm then shifts no block;
        # UPOCR, as the authors wrote it, goes on shifting every second one. So only the first block
        # is the same there. (Below 512 pixels timm also shrinks the window to the map, where UPOCR
        # pads the map with zeros to the window.)
        y = layer.downsample(y)
        ours = backbone.layers[2].downsample(stages[2])
        torch.testing.assert_close(ours, y, rtol=1e-3, atol=1e-3)
        first = backbone.layers[3].blocks[0](ours)
        torch.testing.assert_close(first, layer.blocks[0](y), rtol=1e-3, atol=1e-3)
        second = layer.blocks[1](layer.blocks[0](y))
        assert (stages[3] - second).abs().max() > 1e-2
    final = backbone.norm3(y)
    torch.testing.assert_close(final, timm_model.norm(y))
