import sys
from urllib.error import URLError

import numpy as np
import pytest
import sklearn.datasets

from wideflow.datasets import DataError, images, load

TINY = images.Source("tiny", 1, 3, 2, 2, ("even", "odd"))


def save_mnist(folder, shape=(6, 28, 28)):
    x = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    y = np.arange(6, dtype=np.uint8)
    np.savez(folder / "mnist.npz", x_train=x, y_train=y, x_test=x[:3], y_test=y[:3])
    return x


@pytest.mark.parametrize("shape", [(6, 28, 28), (6, 28, 28, 1)])
def test_pictures_come_from_the_folder(folder, shape):
    x = save_mnist(folder, shape)
    data = load("mnist")
    np.testing.assert_array_equal(data.x[..., 0], x.reshape(6, 28, 28))
    assert data.x_test is not None
    assert data.x_test.shape == (3, 28, 28, 1)
    assert data.name == "mnist"


@pytest.mark.parametrize("shape", [(6, 784), (6, 1, 28, 28), (6, 32, 32)])
def test_pictures_of_another_shape_are_an_error(folder, shape):
    save_mnist(folder, shape)
    with pytest.raises(DataError, match=r"shape \(28, 28, 1\) with x_test, y_test wanted"):
        load("mnist")


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "cifar10"])
@pytest.mark.parametrize(
    "error", [URLError("no route"), TimeoutError("slow"), ConnectionResetError("cut"), ValueError("412")]
)
def test_no_network_says_which_file_to_put_where(no_folder, monkeypatch, name, error):
    def fetch(*args, **kwargs):
        raise error

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    side = "32, 32, 3" if name == "cifar10" else "28, 28"
    message = (
        rf"OpenML did not deliver it.*Put {name}\.npz .*x_train \[n, {side}\].*"
        "environment variable WIDEFLOW_DATA to that folder"
    )
    with pytest.raises(DataError, match=message):
        load(name)


def test_folder_without_the_file_falls_back_to_the_download(folder, monkeypatch):
    def fetch(*args, **kwargs):
        raise URLError("no route")

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    with pytest.raises(DataError, match=r"no file mnist.npz"):
        load("mnist")


def test_download_without_scikit_learn_says_what_to_install(no_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match=r"pip install 'wideflow\[data\]'"):
        load("mnist")


def test_download_asks_for_the_named_version_and_cuts_off_the_test_rows(monkeypatch):
    asked = []

    def fetch(name, *, version, return_X_y, as_frame, parser):
        asked.append((name, version))
        return np.arange(36.0).reshape(3, 12), np.array(["0", "1", "0"], dtype=object)

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    data = images.download("tiny", TINY)
    assert asked == [("tiny", 1)]
    assert data.x_test is not None
    assert (len(data.x), len(data.x_test)) == (2, 1)
    np.testing.assert_array_equal(data.y, [0, 1])
    np.testing.assert_array_equal(data.y_test, [0])


def test_downloaded_rows_become_channels_last():
    rows = np.arange(36).reshape(3, 12)
    data = images.from_rows("tiny", TINY, rows, np.array([0, 1, 0]))
    for channel in range(3):
        np.testing.assert_array_equal(data.x[1, :, :, channel].ravel(), 12 + 4 * channel + np.arange(4))


@pytest.mark.parametrize("shape", [(3, 11), (2, 12)])
def test_downloaded_rows_of_another_shape_are_an_error(shape):
    with pytest.raises(DataError, match="more than 2 rows of 12 pixels wanted"):
        images.from_rows("tiny", TINY, np.zeros(shape), np.zeros(shape[0]))


def test_sources_are_the_published_ones():
    named = {name: (s.name, s.version, s.train) for name, s in images.SOURCES.items()}
    assert named == {
        "mnist": ("mnist_784", 1, 60_000),
        "fashion_mnist": ("Fashion-MNIST", 1, 60_000),
        "cifar10": ("CIFAR_10", 1, 50_000),
    }
    assert all(len(source.class_names) == 10 for source in images.SOURCES.values())
