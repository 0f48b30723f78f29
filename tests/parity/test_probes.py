"""The linear probe against scikit-learn's logistic regression: the same minimum, found otherwise."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import LogisticRegression

from ssl_av.evaluation.probes import Probe, measure_probe, train_probe
from ssl_av.methods.settings import Optim

DECAY = 0.05


def test_a_converged_probe_is_a_logistic_regression():
    rng = np.random.default_rng(0)
    y = rng.integers(3, size=90)
    x = (rng.normal(size=(3, 5))[y] + rng.normal(size=(90, 5))).astype(np.float32)
    # whole batches, so that steepest descent with momentum comes to rest
    settings = Probe(Optim(name="sgd", lr=0.2, weight_decay=DECAY), epochs=400, batch_size=90)
    model = train_probe(x, y, settings)
    # mean loss + decay / 2 |w|² is, times 1 / decay, C · summed loss + 1 / 2 |w|²; neither penalises the bias
    reference = LogisticRegression(C=1 / (len(x) * DECAY), tol=1e-10, max_iter=10_000).fit(x.astype(float), y)
    linear = model[-1]
    np.testing.assert_allclose(linear.weight.detach(), reference.coef_, atol=1e-4)
    bias = linear.bias.detach().numpy()
    np.testing.assert_allclose(
        bias - bias.mean(), reference.intercept_ - reference.intercept_.mean(), atol=1e-4
    )
    test = rng.normal(size=(50, 5)).astype(np.float32)
    found = measure_probe(model, test, np.zeros(50, dtype=np.int64), settings).scores
    np.testing.assert_allclose(found, reference.predict_proba(test), atol=1e-4)
