import math

import numpy as np
import pytest
import torch
from torch import nn

from core.systems import checkpoint_models
from core.systems.checkpoint_models import Dropout, as_state, mlp_chain, seeded_layers, transformer_chain, unet_chain


def through(chain):
    state = (chain.inputs,)
    for layer in chain.layers:
        state = as_state(layer(*state))
    return state


def test_the_mlp_is_linear_and_gelu():
    chain = mlp_chain(layers=3, width=6, rows=5)
    x = chain.inputs
    for layer in chain.layers:
        x = nn.functional.gelu(x @ layer[0].weight.T + layer[0].bias)
    assert torch.allclose(through(chain)[0], x)
    assert chain.unit_bytes == x.nbytes == chain.inputs.nbytes
    assert chain.parameter_count == 3 * (36 + 6)
    assert (chain.stored_units, chain.overhead_units, chain.gradient_units) == (2, 0, 6 / 5)
    assert math.isnan(mlp_chain(layers=1, width=2, rows=2, dropout=0.5).stored_units)


def test_the_transformer_is_pytorchs_own_encoder_layer(receipt):
    """With the same weights, nn.TransformerEncoderLayer with a causal mask gives the same output."""
    chain = transformer_chain(blocks=2, width=16, heads=4, tokens=7, batch=3)
    x = chain.inputs
    mask = nn.Transformer.generate_square_subsequent_mask(7)
    for block in chain.layers:
        twin = nn.TransformerEncoderLayer(16, 4, 64, dropout=0.0, activation="gelu", batch_first=True, norm_first=True)
        with torch.no_grad():
            twin.self_attn.in_proj_weight.copy_(block.qkv.weight)
            twin.self_attn.in_proj_bias.copy_(block.qkv.bias)
            pairs = (
                (twin.self_attn.out_proj, block.out[0]),
                (twin.linear1, block.mlp[0]),
                (twin.linear2, block.mlp[2]),
                (twin.norm1, block.norm_1),
                (twin.norm2, block.norm_2),
            )
            for theirs, ours in pairs:
                theirs.weight.copy_(ours.weight)
                theirs.bias.copy_(ours.bias)
        x = twin(x, src_mask=mask, is_causal=True)
    got = through(chain)[0].detach().numpy()
    receipt(
        transformer_chain,
        "output",
        got,
        x.detach().numpy(),
        reference="torch.nn.TransformerEncoderLayer",
        tolerance=2e-5,
    )


def test_scores_attention_is_fused_attention():
    fused = transformer_chain(blocks=1, width=8, heads=2, tokens=6, batch=2)
    scores = transformer_chain(blocks=1, width=8, heads=2, tokens=6, batch=2, attention="scores")
    assert torch.allclose(through(fused)[0], through(scores)[0], atol=1e-5)
    assert math.isnan(scores.stored_units)
    assert fused.stored_units == 16 + 6 / 8


def test_the_unet_hands_skips_on_and_keeps_the_size():
    image = np.random.default_rng(0).integers(0, 256, (18, 23, 3), np.uint8)
    chain = unet_chain(image, channels=4)
    assert chain.inputs.shape == (1, 3, 16, 20)
    assert torch.equal(chain.inputs[0], torch.tensor(image[:16, :20].transpose(2, 0, 1) / 255, dtype=torch.float32))
    widths, state = [], (chain.inputs,)
    for layer in chain.layers:
        state = as_state(layer(*state))
        widths.append([tuple(t.shape[1:]) for t in state])
    assert widths == [
        [(4, 8, 10), (4, 16, 20)],
        [(8, 4, 5), (4, 16, 20), (8, 8, 10)],
        [(16, 4, 5), (4, 16, 20), (8, 8, 10)],
        [(8, 8, 10), (4, 16, 20)],
        [(4, 16, 20)],
        [(1, 16, 20)],
    ]
    assert chain.unit_bytes == 4 * 16 * 20 * 4


@pytest.mark.parametrize("make", [mlp_chain, transformer_chain])
def test_seeds(make):
    a, b, c = make(seed=1), make(seed=1), make(seed=2)
    before = torch.get_rng_state()
    assert torch.equal(a.inputs, b.inputs)
    assert all(torch.equal(p, q) for p, q in zip(a.parameters, b.parameters, strict=True))
    assert not torch.equal(a.inputs, c.inputs)
    assert not torch.equal(a.parameters[-2], c.parameters[-2])
    assert torch.equal(before, torch.get_rng_state())


def test_weights_are_scaled_by_their_fan_in():
    (layer,) = seeded_layers(
        [nn.Linear(400, 300, device="meta")], torch.Generator().manual_seed(0), "cpu", torch.float64
    )
    assert layer.weight.dtype == torch.float64
    assert layer.weight.std().item() == pytest.approx(400**-0.5, rel=0.01)
    assert not layer.bias.any()


def test_dropout_keeps_one_byte_per_element_and_the_mean():
    x = torch.ones(1000, 50, requires_grad=True)
    saved = []

    def pack(tensor):
        saved.append(tensor)
        return tensor

    with torch.random.fork_rng(), torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        torch.manual_seed(0)
        y = Dropout(0.25)(x)
    assert [t.dtype for t in saved] == [torch.bool]
    assert y.mean().item() == pytest.approx(1, abs=0.02)
    assert sorted(y.unique().tolist()) == pytest.approx([0.0, 4 / 3])
    assert Dropout(0.5).eval()(x) is x


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: mlp_chain(layers=0), "layers must be at least 1"),
        (lambda: mlp_chain(rows=0), "rows must be at least 1"),
        (lambda: mlp_chain(dropout=1.0), r"dropout must lie in \[0, 1\)"),
        (lambda: mlp_chain(dropout=float("nan")), "dropout"),
        (lambda: transformer_chain(width=10, heads=4), "multiple of the 4 heads, got 10"),
        (lambda: transformer_chain(batch=0), "batch must be at least 1"),
        (lambda: transformer_chain(dropout=-0.1), "dropout"),
        (lambda: unet_chain(np.zeros((3, 9, 3), np.uint8)), "at least 4 × 4"),
        (lambda: unet_chain(np.zeros((9, 9), np.uint8)), r"\(H, W, 3\)"),
        (lambda: unet_chain(np.zeros((9, 9, 3), np.float32)), "uint8"),
        (lambda: unet_chain(np.zeros((9, 9, 3), np.uint8), channels=0), "channels"),
    ],
)
def test_wrong_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_the_module_is_about_chains():
    assert checkpoint_models.__name__.endswith("checkpoint_models")
