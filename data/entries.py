"""The entries of the catalogue: each data set's size, licence, publishers and file layout.

Belongs here: values. Does not belong here: finding files (`catalogue`), reading them (`text_layouts`, `images`).
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from data import images, text_layouts
from data.downloads import Download
from umbrameter.records.sources import ParquetData

Reader = Callable[[Path], Iterator[pa.RecordBatch]]
"""A function that yields the records at a path in batches."""


@dataclass(frozen=True)
class Layout:
    """How the publishers' own files are laid out.

    Parameters
    ----------
    names
        The possible names of the file, archive or folder, in order of preference.
    read
        Reads any of these.
    downloads
        The files to download for the same records.
    """

    names: tuple[str, ...]
    read: Reader
    downloads: tuple[Download, ...]


@dataclass(frozen=True)
class Entry:
    """One data set of the catalogue.

    Parameters
    ----------
    name, title
        Its name in specs, and its title in reports and lists.
    records, features, classes
        Number of each.
    licence, source, citation
        Its licence, its publishers' page, and what to cite.
    label, ignore, duplicates
        See `ParquetData`.
    sample
        The Parquet file, if umbrameter ships it.
    read
        Reads the Parquet file, if its columns need decoding.
    layout
        The layout of the publishers' own files.
    base
        The data set whose records are clustered into the classes of this one.
    standin
        The kind of generated records that stand in if the data set cannot be found; reports say so.
    """

    name: str
    title: str
    records: int
    features: int
    classes: int
    licence: str
    source: str
    citation: str
    label: str = "y"
    ignore: tuple[str, ...] = ()
    duplicates: str = "drop"
    sample: Path | None = None
    read: Reader | None = None
    layout: Layout | None = None
    base: str | None = None
    standin: str | None = None

    def data(self, path: Path, note: str | None = None) -> ParquetData:
        """Return the settings for reading the file at a path, and a note for the report."""
        settings = {"label": self.label, "ignore": self.ignore, "duplicates": self.duplicates, "note": note}
        settings["numeric_label"] = "classes"
        return ParquetData.model_validate({"path": str(path)} | settings)


AUTHORS = "https://github.com/privacytrustlab/datasets"
SHOKRI = (
    "R. Shokri, M. Stronati, C. Song, V. Shmatikov: Membership Inference Attacks Against Machine Learning Models. "
    "IEEE Symposium on Security and Privacy, 2017"
)
TORONTO = "https://www.cs.toronto.edu/~kriz"
KRIZHEVSKY = "A. Krizhevsky: Learning Multiple Layers of Features from Tiny Images, 2009"
DIGITS = "https://ossci-datasets.s3.amazonaws.com/mnist"
UNSTATED = "none stated by its publishers"

ADULT = Entry(
    name="adult",
    title="UCI Adult, census income of 1994",
    records=48_842,
    features=14,
    classes=2,
    licence="CC BY 4.0",
    source="https://archive.ics.uci.edu/dataset/2/adult",
    citation="B. Becker, R. Kohavi: Adult. UCI Machine Learning Repository, 1996",
    label="income",
    ignore=("split", "fnlwgt"),
    sample=Path(__file__).resolve().parent / "samples" / "adult.parquet",
)

LOCATION30 = Entry(
    name="location30",
    title="Location-30 of Shokri et al. (2017), check-ins in Bangkok",
    records=5_010,
    features=446,
    classes=30,
    licence=UNSTATED,
    source=AUTHORS,
    citation=SHOKRI,
    duplicates="error",
    layout=Layout(
        names=("bangkok", "dataset_location.tgz"),
        read=text_layouts.locations,
        downloads=(
            Download(
                f"{AUTHORS}/raw/master/dataset_location.tgz",
                "sha256:2ca8f7fc231251e089823e44d39f2d1eed124574cc351c7f80368cfe631dd718",
                "bangkok",
            ),
        ),
    ),
)

MNIST = Entry(
    name="mnist",
    title="MNIST, handwritten digits",
    records=70_000,
    features=784,
    classes=10,
    licence="CC BY-SA 3.0",
    source="https://yann.lecun.com/exdb/mnist",
    citation="Y. LeCun, L. Bottou, Y. Bengio, P. Haffner: Gradient-based learning applied to document recognition. "
    "Proceedings of the IEEE, 1998",
    ignore=("split",),
    layout=Layout(
        names=("train-images-idx3-ubyte", "train-images-idx3-ubyte.gz"),
        read=images.mnist,
        downloads=(
            Download(f"{DIGITS}/train-images-idx3-ubyte.gz", "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            Download(f"{DIGITS}/train-labels-idx1-ubyte.gz", "md5:d53e105ee54ea40749a09fcbcd1e9432"),
            Download(f"{DIGITS}/t10k-images-idx3-ubyte.gz", "md5:9fb629c4189551a2d022fa330f9573f3"),
            Download(f"{DIGITS}/t10k-labels-idx1-ubyte.gz", "md5:ec29112dd5afa0611ce80d1b7f02629c"),
        ),
    ),
)

CIFAR10 = Entry(
    name="cifar10",
    title="CIFAR-10, small photographs of ten kinds",
    records=60_000,
    features=3_072,
    classes=10,
    licence=UNSTATED,
    source=f"{TORONTO}/cifar.html",
    citation=KRIZHEVSKY,
    read=text_layouts.images,
    layout=Layout(
        names=("cifar-10-binary.tar.gz", "cifar-10-batches-bin", "cifar-10-python.tar.gz", "cifar-10-batches-py"),
        read=images.cifar10,
        downloads=(Download(f"{TORONTO}/cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530"),),
    ),
)

CIFAR100 = replace(
    CIFAR10,
    name="cifar100",
    title="CIFAR-100, small photographs of a hundred kinds",
    classes=100,
    layout=Layout(
        names=("cifar-100-binary.tar.gz", "cifar-100-binary", "cifar-100-python.tar.gz", "cifar-100-python"),
        read=images.cifar100,
        downloads=(Download(f"{TORONTO}/cifar-100-binary.tar.gz", "md5:03b5dce01913d631647c71ecec9e9cb8"),),
    ),
)

PURCHASE100 = Entry(
    name="purchase100",
    title="Purchase-100 of Shokri et al. (2017), what customers bought",
    records=197_324,
    features=600,
    classes=100,
    licence=UNSTATED,
    source=AUTHORS,
    citation=SHOKRI,
    layout=Layout(
        names=("dataset_purchase", "dataset_purchase.csv", "dataset_purchase.tgz"),
        read=text_layouts.purchases,
        downloads=(Download(f"{AUTHORS}/raw/master/dataset_purchase.tgz"),),
    ),
    standin="purchase",
)

FEWER = tuple(
    replace(
        PURCHASE100,
        name=f"purchase{n}",
        title=f"Purchase-{n}: the records of Purchase-100, clustered into {n} classes",
        classes=n,
        layout=None,
        base="purchase100",
        standin=None,
    )
    for n in (2, 10, 20, 50)
)
"""Clustered as in the paper; its own clusters are not published, and differ from these."""

TEXAS100 = Entry(
    name="texas100",
    title="Texas-100 of Shokri et al. (2017), hospital stays and their procedures",
    records=67_330,
    features=6_170,
    classes=100,
    licence=UNSTATED,
    source=AUTHORS,
    citation=SHOKRI,
    layout=Layout(
        names=("texas/100", "dataset_texas.tgz"),
        read=text_layouts.hospitals,
        downloads=(Download(f"{AUTHORS}/raw/master/dataset_texas.tgz"),),
    ),
    standin="texas",
)

CATALOGUE: Mapping[str, Entry] = {
    entry.name: entry for entry in (ADULT, LOCATION30, MNIST, CIFAR10, CIFAR100, *FEWER, PURCHASE100, TEXAS100)
}
