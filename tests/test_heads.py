from __future__ import annotations

import pytest
import torch
from torch import nn

from ssl_av.errors import UserError
from ssl_av.heads import MLP, Classifier, TemporalTransformer, l2_normalize


def kinds(module: nn.Module) -> str:
    return " ".join(type(m).__name__ for m in module.children())


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_avids_projector() -> None:
    head = MLP(512, (512, 512), 128, norm=False)
    assert kinds(head) == "Linear ReLU Linear ReLU Linear"
    assert [m.out_features for m in head if isinstance(m, nn.Linear)] == [512, 512, 128]


def test_sticas_head() -> None:
    head = MLP(512, (512,), 256, dropout=0.3, bias=False)
    assert kinds(head) == "Dropout Linear BatchNorm1d ReLU Dropout Linear"
    assert head[1].bias is None  # the normalisation that follows would take it out
    assert head[5].bias is not None


def test_braves_heads_have_the_official_number_of_parameters() -> None:
    with torch.device("meta"):
        projector, predictor = MLP(2048, (4096,), 128, last_norm=True), MLP(128, (4096,), 128)
    assert kinds(projector) == "Linear BatchNorm1d ReLU Linear BatchNorm1d"
    assert kinds(predictor) == "Linear BatchNorm1d ReLU Linear"
    assert parameters(projector) + parameters(predictor) == 9_986_560  # 9.99M


def test_crisscross_tables_s7_and_s8() -> None:
    with torch.device("meta"):
        projector, predictor = MLP(512, (2048, 2048), 2048, last_norm=True), MLP(2048, (512,), 2048)
    assert kinds(projector) == "Linear BatchNorm1d ReLU Linear BatchNorm1d ReLU Linear BatchNorm1d"
    assert kinds(predictor) == "Linear BatchNorm1d ReLU Linear"
    heads = parameters(projector) + parameters(predictor)
    assert 15_379_136 + 11_170_240 + 2 * heads == 49_662_080  # the official model's 49.66M


def test_mlp_without_hidden_layers_is_linear() -> None:
    assert kinds(MLP(4, (), 2)) == "Linear"


def test_mlp_shapes() -> None:
    assert MLP(6, (5,), 3, last_norm=True)(torch.randn(4, 6)).shape == (4, 3)


def test_classifier() -> None:
    assert kinds(Classifier(4, 3, norm=True, dropout=0.5)) == "BatchNorm1d Dropout Linear"
    assert kinds(Classifier(4, 3)) == "Linear"
    assert Classifier(4, 3)(torch.randn(2, 4)).shape == (2, 3)


def test_l2_normalize_is_float32() -> None:
    z = l2_normalize(torch.randn(4, 8, dtype=torch.bfloat16))
    assert z.dtype == torch.float32
    torch.testing.assert_close(z.norm(dim=1), torch.ones(4))


@pytest.mark.parametrize("identity_values", [False, True])
def test_transformer_equals_pytorchs_post_norm_encoder(identity_values: bool) -> None:
    torch.manual_seed(0)
    ours = TemporalTransformer(8, layers=1, heads=2, hidden=12, identity_values=identity_values).eval()
    theirs = nn.TransformerEncoderLayer(
        8, 2, 12, dropout=0, activation="gelu", batch_first=True, layer_norm_eps=1e-12
    )
    layer = ours.layers[0]
    with torch.no_grad():
        value, out = (
            (torch.eye(8), torch.eye(8)) if identity_values else (layer.value.weight, layer.out.weight)
        )
        theirs.self_attn.in_proj_weight.copy_(torch.cat([layer.query.weight, layer.key.weight, value]))
        theirs.self_attn.out_proj.weight.copy_(out)
        theirs.linear1.load_state_dict(layer.feed_forward[0].state_dict())
        theirs.linear2.load_state_dict(layer.feed_forward[2].state_dict())
        x = torch.randn(3, 5, 8)
        want = theirs.eval()(torch.cat([ours.cls_token.expand(3, 1, 8), x], dim=1))[:, 0]
        torch.testing.assert_close(ours(x), want)


def test_identity_values_average_the_tokens_themselves() -> None:
    net = TemporalTransformer(8, identity_values=True, cls_token=False)
    layer = net.layers[0]
    for projection in (layer.query, layer.key):
        nn.init.zeros_(projection.weight)
    x = torch.randn(2, 3, 8)
    torch.testing.assert_close(layer.attend(x), x.mean(dim=1, keepdim=True).expand_as(x))


def test_transformer_of_the_official_code_has_its_size() -> None:
    # A layer: query and key 2 × (512² + 512), feed-forward 2 × 512 × 2048 + 2048 + 512, two normalisations.
    net = TemporalTransformer(512, identity_values=True, cls_token=False)
    assert parameters(net) == 2 * (2 * (512 * 512 + 512) + 2 * 512 * 2048 + 2048 + 512 + 4 * 512)


def test_transformer_reads_every_token_and_forgets_their_order() -> None:
    net = TemporalTransformer(8).eval()
    x = torch.randn(2, 4, 8, requires_grad=True)
    net(x).square().sum().backward()
    assert (x.grad.abs().sum(dim=(0, 2)) > 0).all()
    torch.testing.assert_close(net(x), net(x.flip(1)))


def test_transformer_takes_crops_of_any_length() -> None:
    net = TemporalTransformer(8)
    assert [net(torch.randn(2, t, 8)).shape for t in (1, 2, 7)] == [(2, 8)] * 3


def test_transformer_mistakes() -> None:
    with pytest.raises(UserError, match="3 attention heads do not divide features of width 8"):
        TemporalTransformer(8, heads=3)
    with pytest.raises(ValueError, match=r"tokens \[B, T, dim\] expected, got \[2, 8\]"):
        TemporalTransformer(8)(torch.randn(2, 8))
