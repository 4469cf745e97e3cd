import pytest
import torch

from benchmarks.gemm import MAKERS, Gemms, Shapes, _product
from benchmarks.served import starter_folder


def test_the_starter_models_products_cost_21_mflop_a_token():
    shapes = Shapes.of(starter_folder())
    assert shapes == Shapes(layers=6, hidden=384, intermediate=1536)
    assert shapes.products == [(1152, 384), (384, 384), (1536, 384), (384, 1536)]
    assert shapes.flops_per_token == 21_233_664


@pytest.mark.parametrize("maker", MAKERS)
def test_every_way_to_multiply_multiplies(maker):
    weight, bias, inputs = torch.randn(8, 16), torch.randn(8), torch.randn(5, 16)
    expected = inputs @ weight.T + bias
    torch.testing.assert_close(_product(weight, bias, 5, maker)(inputs), expected)


@pytest.mark.parametrize("maker", MAKERS)
def test_a_rate_counts_all_rows(maker):
    assert Gemms(Shapes(layers=1, hidden=8, intermediate=16), 4, maker).tokens_per_second(0.01) > 4
