"""Kernel matrices in tiles: any size, either shape, and after a kill."""

import inspect
import sys
from dataclasses import dataclass, field
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import wideflow as wf
from wideflow import nn
from wideflow.kernels import Kernels


@dataclass
class Polynomial:
    """A kernel that counts its calls, notes the sizes of its tiles, and can be killed after some of them."""

    lives: int = 10**9
    bias: float = 1.0
    sizes: list = field(default_factory=list)

    def __call__(self, x1, x2=None):
        if len(self.sizes) == self.lives:
            raise KeyboardInterrupt
        x2 = x1 if x2 is None else x2
        self.sizes.append((len(x1), len(x2)))
        K = x1 @ x2.T
        return Kernels((K + self.bias) ** 2, (K + self.bias) ** 3)

    def __repr__(self):
        return f"Polynomial({self.bias})"


def batch(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, 3))


@given(st.integers(1, 13), st.integers(1, 15), st.sampled_from(["ntk", "nngp"]))
def test_symmetric_matrix_equals_the_whole_for_any_tile(n, tile, get):
    kernel, x = Polynomial(), batch(n)
    K = wf.gram(kernel, x, get=get, tile=tile)
    np.testing.assert_allclose(K, getattr(Polynomial()(x), get), rtol=1e-12)
    np.testing.assert_array_equal(np.tril(K, -tile), np.triu(K, tile).T)
    blocks = -(-n // tile)
    assert len(kernel.sizes) == blocks * (blocks + 1) // 2  # one triangle
    assert len(set(kernel.sizes)) == 1  # one shape compiles once


@given(st.integers(1, 9), st.integers(1, 13), st.integers(1, 15), st.sampled_from(["ntk", "nngp"]))
def test_rectangular_matrix_equals_the_whole_for_any_tile(n1, n2, tile, get):
    kernel, x1, x2 = Polynomial(), batch(n1), batch(n2, 1)
    K = wf.gram(kernel, x1, x2, get=get, tile=tile)
    np.testing.assert_allclose(K, getattr(Polynomial()(x1, x2), get), rtol=1e-12)
    assert len(set(kernel.sizes)) == 1


@pytest.mark.parametrize(("n", "tile"), [(7, 3), (6, 6), (1, 2)])
def test_tiles_of_a_network_kernel_equal_the_whole(n, tile):
    kernel = wf.Kernel(nn.Serial(nn.Dense(1, 1.4, 0.1), nn.Relu(), nn.Dense(1)))
    x = batch(n).astype(np.float32)
    K = wf.gram(kernel, x, tile=tile)
    assert K.dtype == np.float32
    np.testing.assert_allclose(K, kernel.ntk(x), rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(np.diagonal(K), kernel.diag(x).ntk, rtol=1e-6)


def test_default_tile_is_the_whole_of_a_small_matrix():
    kernel = Polynomial()
    wf.gram(kernel, batch(30))
    assert kernel.sizes == [(30, 30)]


def test_x2_equal_to_x1_gives_the_same_matrix():
    x = batch(7)
    np.testing.assert_allclose(wf.gram(Polynomial(), x, x, tile=3), wf.gram(Polynomial(), x, tile=3), rtol=1e-12)


@pytest.mark.parametrize("second", [False, True], ids=["symmetric", "rectangular"])
@pytest.mark.parametrize("lives", [0, 1, 4])
def test_a_killed_run_goes_on_where_it_stopped(tmp_path, second, lives):
    path, x1, x2 = tmp_path / "K.npy", batch(10), batch(7, 1) if second else None
    with pytest.raises(KeyboardInterrupt):
        wf.gram(Polynomial(lives), x1, x2, out=path, tile=4)
    kernel = Polynomial()
    K = wf.gram(kernel, x1, x2, out=str(path), tile=4)
    np.testing.assert_allclose(K, Polynomial()(x1, x2).ntk, rtol=1e-12)
    assert len(kernel.sizes) == 6 - lives
    np.testing.assert_array_equal(np.load(path), K)
    assert [p.name for p in tmp_path.iterdir()] == ["K.npy"]


def test_a_line_cut_off_by_the_kill_is_computed_again(tmp_path):
    path, x = tmp_path / "K.npy", batch(10)
    with pytest.raises(KeyboardInterrupt):
        wf.gram(Polynomial(4), x, out=path, tile=4)
    log = Path(f"{path}.tiles")
    log.write_text(log.read_text()[:-3])
    kernel = Polynomial()
    np.testing.assert_allclose(wf.gram(kernel, x, out=path, tile=4), Polynomial()(x).ntk, rtol=1e-12)
    assert len(kernel.sizes) == 3


@pytest.mark.parametrize("name", ["K.npy", "K.npy.tiles"])
@pytest.mark.parametrize("left", [0, 9])
def test_a_file_of_an_unfinished_run_that_is_cut_short_is_named(tmp_path, name, left):
    path, x = tmp_path / "K.npy", batch(10)
    with pytest.raises(KeyboardInterrupt):
        wf.gram(Polynomial(4), x, out=path, tile=4)
    file = tmp_path / name
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(ValueError, match=f"{name} is damaged or cut short, .* delete .*K.npy.tiles and the matrix"):
        wf.gram(Polynomial(), x, out=path, tile=4)


@pytest.mark.parametrize(
    "change",
    [
        {"kernel": Polynomial(bias=2.0)},
        {"x1": batch(10, 5)},
        {"x2": batch(10, 5)},
        {"get": "nngp"},
        {"tile": 5},
        {"x1": batch(10).astype(np.float32)},
    ],
)
def test_an_unfinished_run_for_anything_else_is_refused_and_kept(tmp_path, change):
    path = tmp_path / "K.npy"
    arguments = {"kernel": Polynomial(), "x1": batch(10), "tile": 4}
    with pytest.raises(KeyboardInterrupt):
        wf.gram(**arguments | {"kernel": Polynomial(2)}, out=path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"belongs to another matrix .*name another file"):
        wf.gram(**arguments | change, out=path)
    assert path.read_bytes() == before


def killed(*_):
    raise KeyboardInterrupt


def test_an_unfinished_run_for_a_network_with_another_function_is_refused(tmp_path, monkeypatch):
    """Functions that print alike."""
    network = lambda phi: wf.Kernel(nn.Serial(nn.Dense(4), nn.Elementwise(phi), nn.Dense(1)))  # noqa: E731
    sine, cosine = network(lambda z: jnp.sin(z)), network(lambda z: jnp.cos(z))
    path, x = tmp_path / "K.npy", batch(6)
    assert repr(sine) == repr(cosine)
    with monkeypatch.context() as patch:
        patch.setattr(sys.modules["wideflow.kernels.gram"], "_tile", killed)
        with pytest.raises(KeyboardInterrupt):
            wf.gram(sine, x, tile=4, out=path)
    with pytest.raises(ValueError, match="belongs to another matrix"):
        wf.gram(cosine, x, tile=4, out=path)
    np.testing.assert_allclose(wf.gram(network(lambda z: jnp.sin(z)), x, tile=4, out=path), sine(x).ntk, rtol=1e-12)


def test_a_file_of_something_else_is_refused_and_kept(tmp_path):
    path = tmp_path / "thesis.npy"
    path.write_text("all of it")
    with pytest.raises(ValueError, match="exists and is not an unfinished run of gram; name another file"):
        wf.gram(Polynomial(), batch(4), out=path)
    assert path.read_text() == "all of it"


def test_progress_is_printed_to_standard_error_only_when_asked(capsys):
    wf.gram(Polynomial(), batch(10), tile=4)
    assert capsys.readouterr() == ("", "")
    wf.gram(Polynomial(), batch(10), tile=4, progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "6 of 6 tiles, 0 s left" in err


def test_bad_requests_are_refused_before_any_work():
    kernel = Polynomial(lives=0)
    with pytest.raises(ValueError, match="a tile must have at least one row, got tile=0"):
        wf.gram(kernel, batch(4), tile=0)
    with pytest.raises(ValueError, match='get must be "ntk" or "nngp", got \'both\''):
        inspect.unwrap(wf.gram)(kernel, batch(4), get="both")  # without the type checks that pytest adds
    with pytest.raises(ValueError, match="x1 and x2: inputs must have one shape"):
        wf.gram(kernel, batch(4), np.ones((2, 5)))


@pytest.mark.parametrize("lives", [10**9, 3])
def test_tiles_on_several_devices_are_the_same_and_survive_a_kill(lives, tmp_path):
    x, places = batch(11), set()

    @dataclass(repr=False)
    class Placed(Polynomial):
        def __call__(self, x1, x2=None):
            places.update(jnp.asarray(x1).devices())
            return super().__call__(x1, x2)

    devices = jax.devices()
    assert len(devices) == 2
    if lives == 3:
        with pytest.raises(KeyboardInterrupt):
            wf.gram(Placed(lives), x, tile=3, devices=devices, out=tmp_path / "K.npy")
    K = wf.gram(Placed(), x, tile=3, devices=devices, out=tmp_path / "K.npy")
    np.testing.assert_array_equal(K, wf.gram(Polynomial(), x, tile=3))
    assert places == set(devices)


def test_a_network_kernel_on_several_devices_is_bitwise_that_on_one():
    kernel = wf.Kernel(nn.Serial(nn.Dense(1), nn.Erf(), nn.Dense(1)))
    x = batch(9)
    np.testing.assert_array_equal(wf.gram(kernel, x, tile=4, devices=jax.devices()), wf.gram(kernel, x, tile=4))
