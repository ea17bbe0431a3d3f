import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from core.systems.checkpoint_models import as_state
from core.systems.transformer_config import config_chain, transformer_shape

LLAMA = {
    "model_type": "llama",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "vocab_size": 50,
    "max_position_embeddings": 64,
}
GPT2 = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "vocab_size": 50}
# published sizes of well-known models: (configuration, parameters as the model card's weights add up)
KNOWN = {
    "gpt2": (GPT2 | {"n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "vocab_size": 50257}, 124439808),
    "Llama-2-7b": (
        LLAMA
        | {
            "hidden_size": 4096,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 32,
            "intermediate_size": 11008,
            "vocab_size": 32000,
        },
        6738415616,
    ),
    "Mistral-7B-v0.1": (
        LLAMA
        | {
            "model_type": "mistral",
            "hidden_size": 4096,
            "num_hidden_layers": 32,
            "num_attention_heads": 32,
            "num_key_value_heads": 8,
            "intermediate_size": 14336,
            "vocab_size": 32000,
        },
        7241732096,
    ),
    "Qwen2-0.5B": (
        LLAMA
        | {
            "model_type": "qwen2",
            "hidden_size": 896,
            "num_hidden_layers": 24,
            "num_attention_heads": 14,
            "num_key_value_heads": 2,
            "intermediate_size": 4864,
            "vocab_size": 151936,
            "tie_word_embeddings": True,
        },
        494032768,
    ),
    "Qwen3-0.6B": (
        LLAMA
        | {
            "model_type": "qwen3",
            "hidden_size": 1024,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "intermediate_size": 3072,
            "vocab_size": 151936,
            "tie_word_embeddings": True,
        },
        596049920,
    ),
}


@pytest.mark.parametrize("name", KNOWN)
def test_known_models_have_their_known_number_of_parameters(name, receipt):
    config, expected = KNOWN[name]
    shape = transformer_shape(config)
    receipt(
        transformer_shape,
        "parameter_count",
        shape.parameter_count,
        expected,
        reference="published weights",
        tolerance=0,
    )


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"model_type": "qwen2"},
        {"model_type": "qwen3", "head_dim": 16},
        {"attention_bias": True, "mlp_bias": True},
        {"tie_word_embeddings": True},
        GPT2,
        GPT2 | {"n_inner": 40, "tie_word_embeddings": False},
    ],
)
def test_the_chain_has_as_many_parameters_as_the_shape_says(extra, receipt):
    config = extra if "n_embd" in extra else LLAMA | extra
    shape = transformer_shape(config)
    chain = config_chain(shape, batch=2, tokens=8, dtype="float32")
    receipt(
        transformer_shape, "parameter_count", shape.parameter_count, chain.parameter_count, reference="the module's own"
    )
    state = (chain.inputs,)
    for layer in chain.layers:
        state = as_state(layer(*state))
    loss = state[0]
    assert loss.shape == ()
    assert 2 < loss.item() < 8  # about ln 50
    assert chain.names == ("embedding", "block 1", "block 2", "head")
    assert chain.unit_bytes == 2 * 8 * 32 * 4


def logits(chain):
    state = chain.inputs
    for layer in chain.layers[:-1]:
        state = layer(state)
    return chain.layers[-1].scores(chain.layers[-1].norm(state))


@pytest.mark.parametrize("config", [LLAMA, GPT2, LLAMA | {"model_type": "qwen3", "head_dim": 16}])
def test_tokens_see_the_past_only_and_know_their_place(config):
    chain = config_chain(transformer_shape(config), batch=1, tokens=8, dtype="float32")
    before = logits(chain)
    chain.inputs[0, 5] = (chain.inputs[0, 5] + 1) % 50
    after = logits(chain)
    assert torch.allclose(before[:, :5], after[:, :5], atol=1e-6)
    assert not torch.allclose(before[:, 5:], after[:, 5:], atol=1e-4)
    chain.inputs[:] = (
        7  # the same token everywhere: only its place tells them apart, after attention mixes equal values
    )
    same = logits(chain)
    if config is GPT2:
        assert not torch.allclose(same[:, 0], same[:, 1], atol=1e-4)
    else:
        assert torch.allclose(same[:, 0], same[:, 1], atol=1e-4)


def test_llama_is_transformers_llama(receipt):
    """Weights copied over, transformers' own model gives the same loss."""
    transformers = pytest.importorskip("transformers")
    shape = transformer_shape(LLAMA)
    chain = config_chain(shape, batch=2, tokens=9, dtype="float32")
    theirs = transformers.LlamaForCausalLM(transformers.LlamaConfig(**{**LLAMA, "rms_norm_eps": 1.1920929e-07}))
    embedding, *blocks, head = chain.layers
    with torch.no_grad():
        theirs.model.embed_tokens.weight.copy_(embedding.tokens.weight)
        theirs.model.norm.weight.copy_(head.norm.weight)
        theirs.lm_head.weight.copy_(head.scores.weight)
        for a, b in zip(theirs.model.layers, blocks, strict=True):
            for p, q in (
                (a.self_attn.q_proj, b.query),
                (a.self_attn.k_proj, b.key),
                (a.self_attn.v_proj, b.value),
                (a.self_attn.o_proj, b.out),
                (a.mlp.gate_proj, b.gate),
                (a.mlp.up_proj, b.up),
                (a.mlp.down_proj, b.down),
                (a.input_layernorm, b.norm_1),
                (a.post_attention_layernorm, b.norm_2),
            ):
                p.weight.copy_(q.weight)
    expected = theirs(input_ids=chain.inputs, labels=chain.inputs).loss.item()
    state = chain.inputs
    for layer in chain.layers:
        state = layer(state)
    receipt(config_chain, "loss", state.item(), expected, reference="transformers", tolerance=1e-5)


def test_tied_weights_are_one_tensor():
    chain = config_chain(transformer_shape(LLAMA | {"tie_word_embeddings": True}), batch=1, tokens=4)
    assert chain.layers[0].tokens.weight is chain.layers[-1].scores.weight
    assert {p.dtype for p in chain.parameters} == {torch.bfloat16}


def test_nothing_is_allocated_inside_fake_mode():
    with FakeTensorMode():
        chain = config_chain(transformer_shape(KNOWN["Llama-2-7b"][0]), batch=1, tokens=16)
    assert chain.parameter_count == 6738415616


def test_a_text_configuration_inside_a_larger_one_is_read():
    shape = transformer_shape({"model_type": "some_vlm", "text_config": LLAMA})
    assert shape == transformer_shape(LLAMA)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "model_type must be gpt2 or one of"),
        ({"model_type": "bert", "hidden_size": 8}, "got 'bert'"),
        (LLAMA | {"num_local_experts": 8}, "mixture of experts"),
        (LLAMA | {"is_encoder_decoder": True}, "encoders with a decoder"),
        (LLAMA | {"hidden_size": "big"}, "hidden_size must be a whole number from 1 to"),
        (LLAMA | {"hidden_size": True}, "hidden_size must be a whole number"),
        (LLAMA | {"hidden_size": 10**30}, "hidden_size must be a whole number"),
        (LLAMA | {"vocab_size": None}, "vocab_size must be a whole number"),
        (LLAMA | {"num_hidden_layers": 0}, "num_hidden_layers must be"),
        (LLAMA | {"num_key_value_heads": 3}, "num_key_value_heads must divide the 4 heads, got 3"),
        (LLAMA | {"hidden_size": 36}, "hidden_size must be 4 heads of an even width, got 36"),
        (LLAMA | {"hidden_size": 34}, "even width, got 34"),
        (GPT2 | {"n_head": 5}, "multiple of the 5 heads, got 32"),
    ],
)
def test_what_is_not_understood_is_named(config, words):
    with pytest.raises(ValueError, match=words):
        transformer_shape(config)


@pytest.mark.parametrize(
    ("batch", "tokens", "words"), [(0, 4, "batch"), (1, 1, "tokens"), (1, 65, "64 positions, got 65")]
)
def test_wrong_sizes_are_named(batch, tokens, words):
    with pytest.raises(ValueError, match=words):
        config_chain(transformer_shape(LLAMA), batch=batch, tokens=tokens)
