"""A stack of K is K separate trainings; its parts are what the papers and packages say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tabm
import torch
from rtdl_num_embeddings import PiecewiseLinearEmbeddings

from toolkit.models.neural.hidden import hidden_layer, narrow_product
from toolkit.models.neural.losses import LOSSES, Quantile
from toolkit.models.neural.networks import Columns, DropoutMasks, PeriodicEmbedding, RealMLP
from toolkit.models.neural.networks_tabm import TabM, quantile_edges
from toolkit.models.neural.presets import PUBLISHED, Recipe, build_network
from toolkit.models.neural.stack import train_stack
from toolkit.models.neural.training import Member, Table, clip_by_member


def a_table(n: int = 150) -> Table:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(n, 4)).astype(np.float32)
    codes = rng.integers(0, 12, (n, 1))
    target = (np.sin(inputs[:, :1]) + 0.1 * codes + 0.1 * rng.normal(size=(n, 1))).astype(np.float32)
    return Table(inputs, codes, Columns(3, 1, [12]), target, rng.uniform(0.5, 1.5, n).astype(np.float32))


def three_members(n: int = 150) -> list[Member]:
    """Different seeds, different rows, one row more in one of the held-out parts."""
    parts = np.array_split(np.random.default_rng(1).permutation(n), [50, 99])
    return [Member(10 + k, np.setdiff1d(np.arange(n), part), part) for k, part in enumerate(parts)]


SMALL = {
    "realmlp": Recipe(epochs=6, batch_size=32, width=16),
    "tabm": replace(PUBLISHED["tabm"], epochs=6, batch_size=32, width=16, heads=3, patience=2),
}


@pytest.mark.parametrize("architecture", ["realmlp", "tabm"])
def test_a_stack_gives_what_separate_trainings_give(architecture):
    table, members, recipe = a_table(), three_members(), replace(SMALL[architecture], rows_per_epoch=96)
    together = train_stack(table, members, recipe, LOSSES["squared"])
    x, codes = torch.from_numpy(table.inputs), torch.from_numpy(table.codes)
    predicted = together.network(x.expand(3, -1, -1), codes.expand(3, -1, -1))
    curves = {k: [r["val_loss"] for r in together.curves if r["member"] == k] for k in range(3)}
    for k, member in enumerate(members):
        alone = train_stack(table, [member], recipe, LOSSES["squared"])
        assert alone.best_epochs == [together.best_epochs[k]]
        length = len(alone.curves)  # a single member may stop earlier than the last of a stack
        np.testing.assert_allclose([r["val_loss"] for r in alone.curves], curves[k][:length], rtol=2e-4)
        torch.testing.assert_close(alone.network(x[None], codes[None])[0], predicted[k], rtol=1e-3, atol=1e-3)


def test_the_best_epoch_is_restored():
    table, members = a_table(), three_members()
    trained = train_stack(table, members, replace(SMALL["realmlp"], learning_rate=0.4), LOSSES["squared"])
    for k, member in enumerate(members):
        losses = [row["val_loss"] for row in trained.curves if row["member"] == k]
        assert trained.best_epochs[k] == 1 + int(np.argmin(losses))
        rows = torch.from_numpy(member.hold)
        x, codes = torch.from_numpy(table.inputs)[rows], torch.from_numpy(table.codes)[rows]
        predicted = trained.network(x.expand(3, -1, -1), codes.expand(3, -1, -1))[k, 0]
        weight = torch.from_numpy(table.weight)[rows]
        error = (predicted - torch.from_numpy(table.target)[rows])[:, 0] ** 2
        assert float((weight * error).sum() / weight.sum()) == pytest.approx(min(losses), rel=1e-4)


def test_the_mean_of_several_held_out_losses_may_choose_the_epoch():
    table, members = a_table(), three_members()
    recipe = replace(SMALL["realmlp"], learning_rate=0.4, epochs=12, judged_epochs=3)
    trained = train_stack(table, members, recipe, LOSSES["squared"])
    for k in range(len(members)):
        losses = [row["val_loss"] for row in trained.curves if row["member"] == k]
        means = [np.mean(losses[max(0, e - 2) : e + 1]) for e in range(len(losses))]
        assert trained.best_epochs[k] == 1 + int(np.argmin(means))
        assert trained.best_losses[k] == pytest.approx(min(means), rel=1e-5)


def test_tabm_is_the_package_on_the_same_numbers():
    X = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    X[:, 2] = X[:, 2].round()  # fewer bins than the other columns
    edges = quantile_edges(X)
    embedding = PiecewiseLinearEmbeddings(edges, 16, activation=False, version="B")
    torch.nn.init.normal_(embedding.linear.weight)
    package = tabm.TabM.make(n_num_features=3, num_embeddings=embedding, d_out=2, k=4, d_block=32).eval()
    ours = TabM([torch.Generator().manual_seed(seed) for seed in (0, 1)], Columns(3, 0), edges, 2, 32, 2, 4)
    k, most = 1, max(len(e) for e in edges) - 1
    with torch.no_grad():
        ours.piecewise.linear[k, :, 0] = embedding.linear0.weight
        ours.piecewise.bias[k, :, 0] = embedding.linear0.bias
        for i, edge in enumerate(edges):  # the package puts the last bin of every column at the end
            last = len(edge) - 2
            ours.piecewise.weight[k, i, :last] = embedding.linear.weight[i, :last]
            ours.piecewise.weight[k, i, last] = embedding.linear.weight[i, most - 1]
        for mine, block in zip(ours.layers, package.backbone.blocks, strict=True):
            mine.weight[k], mine.bias[k, :, 0] = block[0].weight.T, block[0].bias
            mine.r[k, :, 0], mine.s[k, :, 0] = block[0].r, block[0].s
        ours.out_weight[k], ours.out_bias[k, :, 0] = package.output.weight, package.output.bias
        x = 1.5 * torch.from_numpy(X[:50])  # also beyond the outer edges
        torch.testing.assert_close(ours(x.expand(2, -1, -1))[k].transpose(0, 1), package(x), rtol=1e-5, atol=1e-5)


def hidden_inputs(dtype=torch.double):
    torch.manual_seed(0)
    x = torch.randn(2, 7, 6, dtype=dtype).mul_(8).requires_grad_()
    weight, bias, slope = (torch.rand(2, d, 5, dtype=dtype).sub_(0.3).requires_grad_() for d in (6, 1, 1))
    return x, weight, bias, slope, 1.25 * torch.rand(2, 7, 5, dtype=dtype).round()


def test_hidden_layer_and_its_gradient():
    x, weight, bias, slope, mask = hidden_inputs()
    for multiplier in (None, mask):
        z = x @ weight / 6**0.5 + bias
        expected = (z + slope * (torch.nn.functional.mish(z) - z)) * (1 if multiplier is None else mask)
        torch.testing.assert_close(hidden_layer(x, weight, bias, slope, multiplier), expected)
        with torch.no_grad():
            torch.testing.assert_close(hidden_layer(x, weight, bias, slope, multiplier), expected)
        assert torch.autograd.gradcheck(lambda *a, m=multiplier: hidden_layer(*a, m), (x, weight, bias, slope))


def test_hidden_layer_in_bfloat16_is_the_layer_up_to_rounding():
    *inputs, mask = hidden_inputs(torch.float32)
    exact = hidden_layer(*inputs, mask)
    rounded = hidden_layer(*inputs, mask, torch.bfloat16)
    assert rounded.dtype == torch.bfloat16
    torch.testing.assert_close(rounded.float(), exact, rtol=0.03, atol=0.03)
    of_exact = torch.autograd.grad(exact.sum(), inputs)
    for rough, fine in zip(torch.autograd.grad(rounded.float().sum(), inputs), of_exact, strict=True):
        assert rough.dtype == torch.float32
        assert float((rough - fine).norm() / fine.norm()) < 0.03


@pytest.mark.parametrize("outputs", [1, 3, 9])
def test_narrow_product_is_the_product(outputs):
    x, weight, bias = torch.randn(2, 7, 6), torch.randn(2, 6, outputs), torch.randn(2, 1, outputs)
    torch.testing.assert_close(narrow_product(x, weight, bias), x @ weight / 6**0.5 + bias)


def test_first_numbers_are_fitted_to_training_rows():
    table, members, recipe = a_table(400), three_members(400), Recipe(width=32)
    seeds = [torch.Generator().manual_seed(m.seed) for m in members]
    net = build_network(recipe, seeds, table, 1, [m.train[:99] for m in members])
    x, codes = torch.from_numpy(table.inputs), torch.from_numpy(table.codes)
    with torch.no_grad():
        h = net._embedded(*(t.expand(3, -1, -1) for t in (x, codes)))
        for layer in [*net.layers, net.last]:
            z = torch.baddbmm(layer.bias, h, layer.weight, alpha=h.shape[-1] ** -0.5)
            rows = [torch.from_numpy(m.train[:99]) for m in members]
            spread = torch.stack([z[k, own].std(dim=0, correction=0) for k, own in enumerate(rows)])
            torch.testing.assert_close(spread, torch.ones_like(spread), rtol=1e-3, atol=1e-3)
            assert bool(((z.amin(dim=1) <= 0) & (z.amax(dim=1) >= 0)).all())  # the kink lies inside the data
            h = layer(h, None, None) if layer is not net.last else h


def test_periodic_embedding_is_its_formula():
    layer = PeriodicEmbedding([torch.Generator().manual_seed(3)], columns=2)
    x = torch.randn(1, 5, 2)
    for d in range(2):
        waves = torch.cos(2 * np.pi * x[0, :, d, None] * layer.frequency[0, d] + layer.phase[0, d])
        expected = torch.cat([x[0, :, d, None], waves @ layer.weight[0, d] + layer.bias[0, d]], dim=1)
        torch.testing.assert_close(layer(x)[0, :, 4 * d : 4 * d + 4], expected)


def test_dropout_masks_belong_to_their_member():
    def draw(seeds):
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return DropoutMasks(generators, [(400, 50), (3, 100, 7)], torch.device("cpu")).draw(0.25)

    both, second = draw([1, 2]), draw([2])
    for stacked, alone in zip(both, second, strict=True):
        assert torch.equal(stacked[1], alone[0])
        assert not torch.equal(stacked[0], stacked[1])
        assert stacked.unique().tolist() == pytest.approx([0, 4 / 3])
    assert float(both[0].mean()) == pytest.approx(1, abs=0.02)


def test_gradients_are_clipped_member_by_member():
    p = torch.nn.Parameter(torch.zeros(2, 3, 4))
    p.grad = torch.stack([torch.full((3, 4), 10.0), torch.full((3, 4), 0.01)])
    clip_by_member(iter([p]), 1.0)
    assert float(p.grad[0].norm()) == pytest.approx(1, rel=1e-4)
    assert torch.equal(p.grad[1], torch.full((3, 4), 0.01))


def test_losses_have_their_optimum_at_the_known_place():
    y = torch.tensor([0.2, 0.5, 1.0, 2.0, 4.0])[:, None]
    known = {"squared": y.mean(), "absolute": y.median(), "poisson": y.mean(), "gamma": y.mean()}
    for name, best in known.items():

        def mean_loss(value, name=name):
            return LOSSES[name].judged(torch.full_like(y, float(value)), y).mean()

        assert mean_loss(best) < mean_loss(best * 1.05)
        assert mean_loss(best) < mean_loss(best * 0.95)
    label = torch.tensor([0.0, 1.0, 1.0])[:, None]
    logit = torch.tensor([[0.3], [-1.0], [2.0]])
    probability = torch.sigmoid(logit)
    torch.testing.assert_close(LOSSES["bernoulli"].rows(logit, label), LOSSES["bernoulli"].judged(probability, label))


def test_quantiles_cannot_cross_and_pinball_finds_them():
    loss = Quantile((0.1, 0.5, 0.9))
    response = loss.response(10 * torch.randn(200, 3))
    assert bool((response.diff(dim=-1) >= 0).all())
    y = torch.linspace(0, 1, 1001)[:, None]
    right = loss.judged(torch.tensor([[0.1, 0.5, 0.9]]).expand(1001, 3), y).mean()
    assert right < loss.judged(torch.tensor([[0.2, 0.5, 0.8]]).expand(1001, 3), y).mean()


def test_published_schedules():
    recipe = Recipe(learning_rate=0.2)
    ends = [(2**k - 1) / 15 for k in range(5)]  # the rate falls to zero at the end of each of four cycles
    assert [recipe.learning_rate_at(t) for t in ends] == pytest.approx([0] * 5, abs=1e-12)
    assert recipe.learning_rate_at((2**3.5 - 1) / 15) == pytest.approx(0.2)
    assert recipe.flat_cosine_at(0.3) == 1.0
    assert recipe.flat_cosine_at(0.75) == pytest.approx(0.5)


def test_learning_rate_factors_and_decay_of_the_recipe():
    net = RealMLP([torch.Generator().manual_seed(0)], Columns(2, 1, [12]), 1, width=8)
    found = {}
    for group in net.parameter_groups(0.2, 0.02):
        for p in group["params"]:
            name = next(n for n, q in net.named_parameters() if q is p)
            found[name] = (group["factor"], group["decay"])
    assert len(found) == len(list(net.parameters()))
    assert found["scale"] == (6.0, 0.02)
    assert found["layers.0.weight"] == (1.0, 0.02)
    assert found["layers.0.bias"] == (0.1, 0.0)
    assert found["periodic.frequency"] == (0.1, 0.02)
