"""CIFAR is read from files in their real form, and nothing in them runs."""

import hashlib
import io
import pickle
import tarfile
import threading
import urllib.error
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from harness.images.sources import read_source
from harness.images.torchvision_import import load_torchvision
from tests.harness.images.image_sources import RANDOM, data_settings, fails
from tests.harness.untrusted.payload import Payload


def write_cifar(folder, name, images_a_batch=20):
    """Random batches in the format of the python version; returns the training images [N, 32, 32, 3] and labels."""
    plain = getattr(load_torchvision().datasets, name)
    base = folder / plain.base_folder
    base.mkdir(parents=True)
    key, classes = ("labels", 10) if name == "CIFAR10" else ("fine_labels", 100)
    rows, labels = {}, {}
    for file, _ in [*plain.train_list, *plain.test_list]:
        rows[file] = RANDOM.integers(0, 256, (images_a_batch, 3072), dtype=np.uint8)
        labels[file] = RANDOM.integers(0, classes, images_a_batch).tolist()
        (base / file).write_bytes(pickle.dumps({"data": rows[file], key: labels[file]}))
    names = [f"class {number}" for number in range(classes)]
    (base / plain.meta["filename"]).write_bytes(pickle.dumps({plain.meta["key"]: names}))
    files = [file for file, _ in plain.train_list]
    train = np.concatenate([rows[file] for file in files]).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return train, [label for file in files for label in labels[file]]


def expect_md5_of(folder, name, monkeypatch):
    """Make the files in the folder those that torchvision knows."""
    datasets = load_torchvision().datasets
    plain = getattr(datasets, name)

    def md5(file):
        return hashlib.md5((folder / plain.base_folder / file).read_bytes()).hexdigest()

    attributes = {
        "train_list": [(file, md5(file)) for file, _ in plain.train_list],
        "test_list": [(file, md5(file)) for file, _ in plain.test_list],
        "meta": plain.meta | {"md5": md5(plain.meta["filename"])},
    }
    monkeypatch.setattr(datasets, name, type(name, (plain,), attributes))


@pytest.mark.parametrize(("name", "dataset"), [("cifar10", "CIFAR10"), ("cifar100", "CIFAR100")])
@pytest.mark.parametrize("download", [False, True])
def test_cifar_is_read_in_file_order(tmp_path, monkeypatch, name, dataset, download):
    images, labels = write_cifar(tmp_path, dataset)
    expect_md5_of(tmp_path, dataset, monkeypatch)
    source = read_source(data_settings(name, tmp_path, image_size=32, download=download))
    np.testing.assert_array_equal(source.train.images, images)
    assert source.train.labels.tolist() == labels and source.train.labels.dtype == np.int64
    assert source.test is not None and len(source.test.labels) == 20
    assert source.classes[:2] == ("class 0", "class 1")


@pytest.mark.parametrize("download", [False, True])
@pytest.mark.parametrize("file", ["data_batch_3", "test_batch", "batches.meta"])
def test_a_malicious_cifar_file_of_the_right_checksum_does_not_run(tmp_path, monkeypatch, file, download):
    write_cifar(tmp_path, "CIFAR10")
    trap = tmp_path / "ran"
    (tmp_path / "cifar-10-batches-py" / file).write_bytes(pickle.dumps(Payload(trap)))
    expect_md5_of(tmp_path, "CIFAR10", monkeypatch)
    fails(data_settings("cifar10", tmp_path, download=download), file, "mkdir, which such a file never holds")
    assert not trap.exists()


def test_missing_cifar_says_what_to_get(tmp_path):
    fails(data_settings("cifar10", tmp_path), "data_batch_1 is missing", "cifar-10-python.tar.gz", "data.download")


def test_cifar_with_a_wrong_checksum_is_never_unpickled(tmp_path):
    write_cifar(tmp_path, "CIFAR10")
    trap = tmp_path / "ran"
    (tmp_path / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps(Payload(trap)))
    fails(data_settings("cifar10", tmp_path), "data_batch_1 is damaged", "MD5")
    assert not trap.exists()


def hostile_archive(outside):
    """A tar file whose every member leads out of the folder that it is unpacked in."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in ("../escaped", str(outside / "absolute"), "cifar-10-batches-py/../../escaped"):
            member = tarfile.TarInfo(name)
            member.size = 4
            archive.addfile(member, io.BytesIO(b"gone"))
        for name, kind, target in (
            ("link", tarfile.SYMTYPE, str(outside)),
            ("link/through", tarfile.REGTYPE, ""),
            ("hard", tarfile.LNKTYPE, "/etc/hostname"),
            ("device", tarfile.CHRTYPE, ""),
            ("pipe", tarfile.FIFOTYPE, ""),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.devmajor, member.devminor = kind, target, 1, 5
            archive.addfile(member)
    return buffer.getvalue()


def test_an_archive_that_is_not_the_published_one_is_never_unpacked(tmp_path, monkeypatch):
    content = hostile_archive(tmp_path)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/cifar-10-python.tar.gz"
        monkeypatch.setattr(load_torchvision().datasets.CIFAR10, "url", address)
        folder = tmp_path / "data" / "cifar"
        fails(data_settings("cifar10", folder, download=True), "cifar10 could not be downloaded")
        server.shutdown()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["cifar", "cifar-10-python.tar.gz", "data"]


def test_failed_download_is_one_sentence(tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise urllib.error.URLError("no route to host")

    load_torchvision()
    from torchvision.datasets import cifar

    monkeypatch.setattr(cifar, "download_and_extract_archive", unreachable)
    fails(data_settings("cifar100", tmp_path, download=True), "cifar100 could not be downloaded", "no route to host")
