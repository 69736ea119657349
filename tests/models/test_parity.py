"""The network against numbers of the authors' implementation (tests/reference/README.md)."""

import copy

import numpy as np
import pytest
import torch
from vectors import REFERENCE, reference_input

SIZES = [(128, 128), (96, 160), (64, 64)]
TINY_TASKS = ["text_segmentation", "text_removal", "tampered_text_detection"]
# (maximum, mean) of the absolute difference: tests/reference/README.md
TOLERANCE = {torch.float64: (1e-4, 1e-6), torch.float32: (1e-2, 1e-4)}


def assert_close(actual: torch.Tensor, expected: np.ndarray, dtype: torch.dtype) -> None:
    difference = np.abs(actual.detach().double().numpy() - expected)
    maximum, mean = TOLERANCE[dtype]
    assert difference.max() <= maximum
    assert difference.mean() <= mean


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@torch.no_grad()
def test_tiny_outputs_and_features(tiny_model, size, dtype):
    reference = np.load(REFERENCE / "forward_tiny.npz")
    name = f"{size[0]}x{size[1]}"
    images = reference_input(f"tiny_{name}", (3, 3, *size)).to(dtype)
    model = tiny_model.to(dtype)
    for index, output in enumerate(model(images, TINY_TASKS)):
        assert_close(output, reference[f"out{index}_{name}"], dtype)
    for index, feature in enumerate(model.encoder(images[:1])):
        assert_close(feature.permute(0, 3, 1, 2), reference[f"enc{index}_{name}"], dtype)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@torch.no_grad()
def test_full_outputs(full_model, dtype):
    reference = np.load(REFERENCE / "forward_full.npz")
    model = full_model if dtype == torch.float32 else copy.deepcopy(full_model).to(dtype)
    images = reference_input("full_512", (3, 3, 512, 512)).to(dtype)
    tasks = torch.tensor([0, 1, 2])
    outputs = [
        torch.cat(maps)
        for maps in zip(
            *(model(i[None], t[None]) for i, t in zip(images, tasks, strict=True)), strict=True
        )
    ]
    for index, output in enumerate(outputs):
        side = output.shape[-1]
        rows, columns = slice(side // 4, side // 4 + 32), slice(side // 2, side // 2 + 32)
        assert_close(output[..., rows, columns], reference[f"out{index}_crop"], dtype)
        assert_close(output.mean((2, 3)), reference[f"out{index}_mean"], dtype)
        assert_close(output.std((2, 3), correction=0), reference[f"out{index}_std"], dtype)


def expected_keys(keys: dict[str, list]) -> dict[str, tuple[int, ...]]:
    derived = ("relative_coords_table", "relative_position_index")
    return {
        key: tuple(shape)
        for key, (shape, _) in keys.items()
        if not key.startswith("vgg16.") and not key.endswith(derived)
    }


@pytest.mark.parametrize("size", ["full", "tiny"])
def test_parameter_names_and_shapes(state_dict_keys, full_model, tiny_model, size):
    state = {"full": full_model, "tiny": tiny_model}[size].state_dict()
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    assert shapes == expected_keys(state_dict_keys[size])
    assert list(shapes) == list(expected_keys(state_dict_keys[size]))  # the optimizer goes by order


def test_full_model_size(full_model):
    assert sum(p.numel() for p in full_model.parameters()) == 108_157_401
