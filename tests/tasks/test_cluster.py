"""Real Dask in this process, in local processes, by address and with certificates, and all that goes wrong."""

import datetime
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from distributed import LocalCluster, Security
from pydantic import ValidationError

from tasks.cluster import Cluster, Compute
from umbrameter.errors import ComputeError, DataError
from umbrameter.store.artefacts import Store

sys.path.insert(0, str(Path(__file__).parents[1]))
from note_step import Note

pytestmark = [
    pytest.mark.pipeline,
    pytest.mark.filterwarnings("default"),
    pytest.mark.usefixtures("light_workers"),
]


@pytest.fixture(autouse=True)
def workers_find_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Path(__file__).resolve()
    monkeypatch.setenv("PYTHONPATH", f"{here.parents[1]}{os.pathsep}{here.parents[2]}")


def metas(root: Path, *steps: Note) -> list[dict[str, Any]]:
    return [dict(Store(root).open(step.recipe.path).meta) for step in steps]


def test_in_this_process(tmp_path: Path) -> None:
    with Cluster(Compute(workers=0)) as cluster:
        assert cluster.n_workers() == 1
        assert cluster.perform(str(tmp_path), [Note("a"), Note("b")]) == [Note("a").recipe.path, Note("b").recipe.path]
    assert [meta["pid"] for meta in metas(tmp_path, Note("a"), Note("b"))] == [os.getpid()] * 2


def test_local_processes_one_thread_each_and_nothing_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)  # Dask leaves it behind after a cluster of its own
    with caplog.at_level("INFO", logger="umbrameter"), Cluster(Compute(workers=2, memory="1.5GiB")) as cluster:
        assert cluster.n_workers() == 2
        cluster.perform(str(tmp_path), [Note("a")])
        children = psutil.Process().children(recursive=True)
    (meta,) = metas(tmp_path, Note("a"))
    assert meta["pid"] != os.getpid()
    assert (meta["threads"], meta["ignores_sigint"], meta["malloc_trim"]) == (1, True, None)
    assert psutil.wait_procs([child for child in children if "spawn_main" in str(child)], timeout=10)[1] == []
    assert "2 worker processes, up to 1.5 GiB of memory each" in caplog.text


def test_what_the_work_says_arrives_as_it_is_and_workers_are_stopped(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.label='x' is not a column"), Cluster(Compute(workers=1)) as cluster:
        cluster.perform(str(tmp_path), [Note("fine")])
        pid = metas(tmp_path, Note("fine"))[0]["pid"]
        cluster.perform(str(tmp_path), [Note("a", fate="refuse")])
    assert not psutil.pid_exists(pid)


def test_a_work_that_kills_every_worker_is_given_up(tmp_path: Path) -> None:
    text = (
        r"the worker died \d times over one chunk of work .* fewer workers \(--workers\), .*: finished models are kept"
    )
    with Cluster(Compute(workers=1)) as cluster, pytest.raises(ComputeError, match=text):
        cluster.perform(str(tmp_path), [Note("before"), Note("a", str(tmp_path), "die")])
    assert Store(tmp_path).find(Note("before").recipe) is not None


@contextmanager
def existing(n_workers: int, security: Security | None = None) -> Iterator[str]:
    with LocalCluster(
        n_workers=n_workers,
        threads_per_worker=1,
        processes=True,
        dashboard_address=None,
        host="127.0.0.1",
        protocol="tls://" if security else "tcp://",
        security=security,
        silence_logs=logging.CRITICAL,
    ) as cluster:
        yield cluster.scheduler_address


def test_a_cluster_that_exists_is_used_and_left_running(tmp_path: Path) -> None:
    with existing(1) as address:
        for name in ("a", "b"):
            with Cluster(Compute(dask=address)) as cluster:
                assert cluster.n_workers() == 1
                cluster.perform(str(tmp_path), [Note(name)])
    first, second = metas(tmp_path, Note("a"), Note("b"))
    assert first["pid"] == second["pid"] != os.getpid()


def test_a_cluster_without_workers(tmp_path: Path) -> None:
    text = r"the cluster has no worker after 2 s; start workers .dask worker tcp://.* and run again"
    with (
        existing(0) as address,
        Cluster(Compute(dask=address, patience=2)) as cluster,
        pytest.raises(ComputeError, match=text),
    ):
        cluster.perform(str(tmp_path), [Note("a")])


def test_no_scheduler_at_the_address(tmp_path: Path) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{sock.getsockname()[1]}"
    text = rf"dask='{address}': no scheduler answers there within 2 s .*; check the address"
    with Cluster(Compute(dask=address, patience=2)) as cluster, pytest.raises(ComputeError, match=text):
        cluster.perform(str(tmp_path), [Note("a")])


# Certificates


def certificate(folder: Path, name: str) -> dict[str, str]:
    """Make an authority and a certificate signed by it; return the paths of the three PEM files."""
    now = datetime.datetime.now(datetime.UTC)

    def signed(subject: str, key: Any, issuer: str, by: Any, is_authority: bool) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .sign(by, hashes.SHA256())
        )

    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    pem = serialization.Encoding.PEM
    plain = (pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    contents = {
        "ca": signed(f"{name} authority", authority, f"{name} authority", authority, True).public_bytes(pem),
        "cert": signed(name, own, f"{name} authority", authority, False).public_bytes(pem),
        "key": own.private_bytes(*plain),
    }
    for part, content in contents.items():
        (folder / f"{name}-{part}.pem").write_bytes(content)
    return {f"tls_{part}": str(folder / f"{name}-{part}.pem") for part in contents}


def test_certificates_open_a_cluster_and_strangers_are_kept_out(tmp_path: Path) -> None:
    ours, strangers = certificate(tmp_path, "ours"), certificate(tmp_path, "strangers")
    roles = {
        f"tls_{role}_{part}": ours[f"tls_{part}"]
        for role in ("scheduler", "worker", "client")
        for part in ("cert", "key")
    }
    with existing(1, Security(tls_ca_file=ours["tls_ca"], require_encryption=True, **roles)) as address:
        assert address.startswith("tls://")
        with Cluster(Compute(dask=address, **ours)) as cluster:
            cluster.perform(str(tmp_path), [Note("a")])
        with (
            Cluster(Compute(dask=address, patience=3, **strangers)) as cluster,
            pytest.raises(ComputeError, match=r"no scheduler answers there within 3 s .* the certificates"),
        ):
            cluster.perform(str(tmp_path), [Note("b")])
    assert metas(tmp_path, Note("a"))[0]["pid"] != os.getpid()


def test_a_certificate_that_is_not_there(tmp_path: Path) -> None:
    compute = Compute(dask="tls://127.0.0.1:1", tls_ca="no-ca.pem", tls_cert="no-cert.pem", tls_key="no-key.pem")
    with Cluster(compute) as cluster, pytest.raises(ComputeError, match=r"tls_ca_file='no-ca\.pem'.*: no such file"):
        cluster.perform(str(tmp_path), [Note("a")])


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"workers": 1, "dask": "tcp://a:1"}, "exclude each other"),
        ({"dask": "tls://a:1"}, "needs tls_ca, tls_cert and tls_key"),
        ({"dask": "http://a:1"}, "should match pattern"),
        ({"workers": -1}, "greater than or equal to 0"),
        ({"worker": 1}, "Extra inputs"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        Compute(**settings)
