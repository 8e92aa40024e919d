import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from redvillm.errors import BackendError
from redvillm.runtime.options import GenerationOptions
from redvillm.runtime.sampling import Sampler, distribution

LOGITS = hnp.arrays(np.float32, st.integers(1, 37), elements=st.floats(-50, 50, width=32))


def filtered_softmax(logits, temperature, top_k, top_p):
    """An independent reference: filters by comparing every token with all others, in plain Python."""
    weights = [np.exp((float(x) - float(max(logits))) / temperature) for x in logits]
    ranked = sorted(range(len(weights)), key=lambda i: (-float(logits[i]), i))
    kept = ranked[:top_k] if top_k else ranked
    total, result, reached = sum(weights[i] for i in kept), {}, 0.0
    for i in kept:
        if top_p < 1 and reached >= top_p:
            break
        result[i] = weights[i] / total
        reached += weights[i] / total
    return {i: p / sum(result.values()) for i, p in result.items()}


@given(logits=LOGITS)
def test_greedy_takes_the_first_of_the_likeliest(logits):
    assert Sampler(GenerationOptions()).choose(logits) == int(np.argmax(logits))


@given(
    logits=LOGITS, temperature=st.sampled_from([0.05, 0.7, 1.0, 3.0]), top_k=st.sampled_from([0, 1, 3, 100]), top_p=st.sampled_from([0.3, 0.905, 1.0])
)
def test_distribution_is_that_of_the_reference(logits, temperature, top_k, top_p):
    tokens, probabilities = distribution(logits, GenerationOptions(temperature=temperature, top_k=top_k, top_p=top_p))
    expected = filtered_softmax(logits, temperature, top_k, top_p)
    assert probabilities.sum() == pytest.approx(1.0)
    # a sum of probabilities may meet top_p to a rounding error, and then one side keeps one token more: compare what both keep
    assert abs(len(tokens) - len(expected)) <= 1
    if len(tokens) == len(expected):
        assert dict(zip(tokens.tolist(), probabilities.tolist(), strict=True)) == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_draws_follow_the_distribution():
    logits = np.log(np.array([0.1, 0.2, 0.3, 0.4], dtype=np.float32))
    sampler = Sampler(GenerationOptions(temperature=1.0, seed=7))
    counts = np.bincount([sampler.choose(logits) for _ in range(20_000)], minlength=4)
    # standard error at most 0.0035; five of them
    np.testing.assert_allclose(counts / 20_000, [0.1, 0.2, 0.3, 0.4], atol=0.0175)


def test_top_k_and_top_p_leave_the_likely_tokens_only():
    logits = np.log(np.array([0.05, 0.5, 0.15, 0.3], dtype=np.float32))
    for options, legal in (
        (GenerationOptions(temperature=1.0, top_k=2), {1, 3}),
        (GenerationOptions(temperature=1.0, top_p=0.6), {1, 3}),
        (GenerationOptions(temperature=1.0, top_p=0.01), {1}),
        (GenerationOptions(temperature=1.0, top_k=3, top_p=0.9), {1, 2, 3}),
    ):
        sampler = Sampler(options)
        assert {sampler.choose(logits) for _ in range(500)} == legal


def test_the_seed_decides():
    logits = np.random.default_rng(0).normal(size=101).astype(np.float32)

    def draws(seed):
        sampler = Sampler(GenerationOptions(temperature=1.0, seed=seed))
        return [sampler.choose(logits) for _ in range(50)]

    assert draws(1) == draws(1)
    assert draws(1) != draws(2)


def test_a_tiny_temperature_is_greedy():
    logits = np.array([1.0, 1.001, -80.0], dtype=np.float32)
    assert Sampler(GenerationOptions(temperature=1e-300)).choose(logits) == 1


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_logits_that_are_not_numbers_are_an_error(temperature, broken):
    with pytest.raises(BackendError, match="not finite"):
        Sampler(GenerationOptions(temperature=temperature)).choose(np.array([0.0, broken, 1.0], dtype=np.float32))


def test_forbidden_tokens_are_never_drawn():
    logits = np.array([-np.inf, 0.0, -np.inf], dtype=np.float32)
    sampler = Sampler(GenerationOptions(temperature=5.0))
    assert {sampler.choose(logits) for _ in range(100)} == {1}
