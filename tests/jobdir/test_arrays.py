from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from orchestrator.errors import StorageError
from orchestrator.jobdir.arrays import distinct, load_array, read_array, save_array, write_array

FULL = Path("/dev/full")
ARRAYS = [
    np.arange(5),
    np.empty(0, np.uint16),
    np.arange(6, dtype=np.int64).reshape(2, 3),
    np.arange(6, dtype=np.int64).reshape(3, 2).T,
    np.arange(20, dtype=np.uint32)[::2],
]


@pytest.mark.parametrize("array", ARRAYS)
def test_what_is_written_is_read(tmp_path: Path, array: npt.NDArray[np.int64]) -> None:
    """Any array comes back, by us and by numpy; values alone come back from any place."""
    path = tmp_path / "a"
    with path.open("wb") as file:
        save_array(file, array)
        save_array(file, array)
        offset = file.tell()
        write_array(file, array)
    with path.open("rb") as file:
        assert np.array_equal(load_array(file), array)
        assert np.array_equal(np.load(file), array)
    assert np.array_equal(read_array(path, array.dtype, array.size, offset), array.ravel())


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has a device that is always full")
def test_a_full_disk_is_an_error() -> None:
    """The last bytes of an array are not lost in silence, as they are with numpy's own functions."""
    for write in (write_array, save_array):
        with pytest.raises(OSError, match="No space left"), FULL.open("wb") as file:
            write(file, np.arange(3))


@pytest.mark.parametrize("size", [0, 8, 127, 128, 129, 128 + 39])
def test_a_file_that_was_cut_short_is_an_error(tmp_path: Path, size: int) -> None:
    """Wherever it ends, less is never taken for all."""
    path = tmp_path / "a"
    with path.open("wb") as file:
        save_array(file, np.arange(5))
        file.truncate(size)
    with path.open("rb") as file, pytest.raises(StorageError, match="cut short"):
        load_array(file)
    with pytest.raises(StorageError, match="a: it has been cut short"):
        read_array(path, np.int64, 5, 128)


def test_each_value_once() -> None:
    """As numpy's own has it, of any arrays, empty ones too."""
    dice = np.random.default_rng(1)
    arrays = [dice.integers(-5, 5, count) for count in (0, 7, 1, 20)]
    assert distinct(*arrays).tolist() == np.unique(np.concatenate(arrays)).tolist()
    assert distinct(np.empty(0, np.int64)).tolist() == []
