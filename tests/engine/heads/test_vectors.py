import numpy as np

from engine.heads.vectors import cosine, narrow, normalize

VECTORS = np.array([[3, 4, 12], [0, 0, 0], [-1, 0, 0]], dtype=np.float32)


def test_rows_get_length_one_and_zero_stays_zero():
    unit = normalize(VECTORS)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), [1, 0, 1], atol=1e-7)
    assert unit.dtype == np.float32


def test_a_narrowed_vector_is_sliced_then_normalised():
    np.testing.assert_allclose(narrow(VECTORS, 2, renormalize=True)[0], [0.6, 0.8], atol=1e-7)
    np.testing.assert_allclose(narrow(VECTORS, 2, renormalize=False)[0], [3, 4])
    assert narrow(VECTORS, 3, renormalize=True) is VECTORS


def test_cosine_is_of_directions_not_lengths():
    np.testing.assert_allclose(cosine(VECTORS[:1] * 7, VECTORS), [1, 0, -3 / 13], atol=1e-6)
