"""What every method must do, the ones of other packages included."""

from __future__ import annotations

import pytest
import torch

from ssl_av.errors import UserError
from ssl_av.methods import create_method, list_methods, method_class, register_method
from ssl_av.methods.base import Method

TRAINED = ["avid", "brave", "cma", "crisscross", "stica", "supervised"]


def test_the_methods_are_found_by_their_files():
    assert set(list_methods()) == {*TRAINED, "random", "statistics"}


@pytest.mark.parametrize("name", TRAINED)
def test_every_parameter_learns(small, batch_of, name):
    method = small(name)
    batch = method.transform_batch(batch_of(method))
    parts = method.loss(method(batch), batch)
    assert torch.isfinite(parts["loss"])
    parts["loss"].backward()
    without = [n for n, p in method.named_parameters() if p.grad is None]
    assert without == []


@pytest.mark.parametrize("name", [*TRAINED, "random", "statistics"])
def test_views_and_backbones(small, batch_of, name):
    method = small(name)
    assert set(method.backbones) == {"video", "audio"}
    batch = batch_of(method)
    transformed = method.transform_batch(batch)
    for view_name, view in method.views.items():
        x = transformed[view_name]
        assert x.dtype == torch.float32
        assert x.shape[0] == 6
        if view.modality == "video":
            assert x.shape[1:] == (3, view.frames, view.size, view.size)
        else:
            assert x.shape[1] == 1
    assert batch[next(iter(method.views))] is not transformed[next(iter(method.views))]


@pytest.mark.parametrize("name", TRAINED)
def test_built_again_from_its_settings(small, batch_of, name):
    method = small(name).eval()
    twin = create_method(name, **method.settings).eval()
    twin.load_state_dict(method.state_dict())
    batch = method.transform_batch(batch_of(method))
    torch.manual_seed(0)
    a = method(batch)
    torch.manual_seed(0)
    b = twin(batch)
    for key in a:
        assert torch.equal(a[key], b[key])


@pytest.mark.parametrize("name", ["avid", "brave", "crisscross", "stica"])
def test_shared_space_has_one_size_for_both_modalities(small, batch_of, name):
    method = small(name).eval()
    i = method.inputs
    video = method.backbones["video"].forward_features(torch.randn(2, 3, i.frames, i.size, i.size))
    audio = method.backbones["audio"].forward_features(torch.randn(2, 1, 48, 64))
    (vq, vk), (aq, ak) = method.embed("video", video), method.embed("audio", audio)
    assert vq.shape == vk.shape == aq.shape == ak.shape


def test_a_batch_with_fewer_than_two_samples_is_passed_over(small, batch_of):
    method = small("avid")
    assert method.training_step(batch_of(method, 1), 0) is None


@pytest.mark.parametrize("name", TRAINED)
def test_a_view_of_the_wrong_shape_is_named(small, batch_of, name):
    method = small(name)
    batch = method.transform_batch(batch_of(method))
    for view in method.views:
        for wrong in (batch[view][0], batch[view][:, :, :2], batch[view][:, :0], batch[view][:3], None):
            if view.startswith(("audio", "broad")) and wrong is not None and wrong.shape[2:3] == (2,):
                continue  # a spectrogram may be as short as it likes
            damaged = {k: v for k, v in batch.items() if k != view}
            damaged |= {} if wrong is None else {view: wrong}
            with pytest.raises(
                UserError, match=rf"^{name}: view '{view}' of a batch must be \[6, .*\], got .+$"
            ):
                method.training_step(damaged, 0)


@pytest.mark.parametrize("name", TRAINED)
def test_a_view_that_is_not_finite_is_named(small, batch_of, name):
    method = small(name)
    for view in method.views:
        batch = method.transform_batch(batch_of(method))
        batch[view][3].view(-1)[5] = torch.nan
        with pytest.raises(
            UserError, match=rf"{name} is nan at step 0: view '{view}' .* in rows \[3\] of the"
        ):
            method.training_step(batch, 0)


@pytest.mark.parametrize(
    ("value", "says"),
    [(1e30, "embeddings (h|p)_.* are not finite"), (torch.inf, r"weight \S+ is not finite after step 0")],
)
@pytest.mark.parametrize("name", ["brave", "crisscross"])
def test_a_training_that_diverged_says_so(small, batch_of, name, value, says):
    method = small(name)
    batch = method.transform_batch(batch_of(method))
    with torch.no_grad():
        for p in method.predictors()[0].parameters():
            p.fill_(value)
    with pytest.raises(UserError, match=rf"of {name} is nan at step 0: {says}.* lower --method.optim.lr"):
        method.training_step(batch, 0)


@pytest.mark.parametrize("name", ["brave", "crisscross"])
def test_batch_norm_refuses_one_sample_in_training(small, batch_of, name):
    method = small(name)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        method(method.transform_batch(batch_of(method, 1)))
    method.eval()
    assert all(len(e) == 1 for e in method(method.transform_batch(batch_of(method, 1))).values())


def test_unknown_names_come_with_near_ones():
    with pytest.raises(UserError, match="did you mean crisscross"):
        method_class("criscros")
    with pytest.raises(UserError, match="did you mean negatives"):
        create_method("avid", negative=5)
    with pytest.raises(UserError, match="unknown field of 'inputs' 'frame'; did you mean frames"):
        create_method("avid", inputs={"frame": 4})
    with pytest.raises(UserError, match="unknown mode 'crosss'"):
        create_method("avid", mode="crosss")


def test_a_method_of_another_package_can_be_registered():
    base = method_class("random")

    class Other(base):
        """Another."""

        name = "other-package"

    register_method(Other)
    assert method_class("other-package") is Other
    assert isinstance(create_method("other-package"), Method)

    class Clash(base):
        """Takes the same name."""

        name = "other-package"

    with pytest.raises(ValueError, match="exists already"):
        register_method(Clash)
