import hashlib

import pytest

from drivers.agent.state import BlobError, BlobStore
from testbed.wire.messages import PutBlob

DATA = b"a model" * 100
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize("name", ["../escape", "AB" * 32, "ab" * 31, "", SHA256 + "\n"])
def test_names_that_are_no_hash_are_refused(tmp_path, name):
    store = BlobStore(tmp_path)
    assert "SHA-256" in store.put(PutBlob(name, 3, 0, b"abc")).text
    with pytest.raises(BlobError):
        store.path(name)


def test_pieces_out_of_order_change_nothing(tmp_path):
    store = BlobStore(tmp_path)
    assert store.put(PutBlob(SHA256, len(DATA), 100, DATA[100:])).have == 0
    assert store.put(PutBlob(SHA256, len(DATA), 0, DATA[:100])).have == 100
    assert store.put(PutBlob(SHA256, len(DATA), 0, DATA[:100])).have == 100
    assert "end" in store.put(PutBlob(SHA256, 101, 100, DATA[100:])).text
    assert store.put(PutBlob(SHA256, len(DATA), 100, DATA[100:])).complete
    assert store.put(PutBlob(SHA256, len(DATA), 0, DATA)).complete
    assert store.path(SHA256).read_bytes() == DATA


def test_more_than_the_disk_holds_is_refused(tmp_path):
    assert "disk" in BlobStore(tmp_path).put(PutBlob(SHA256, 1 << 60, 0, DATA)).text


def test_a_whole_but_unfinished_part_is_completed_by_an_empty_piece(tmp_path):
    store = BlobStore(tmp_path)
    store.put(PutBlob(SHA256, len(DATA), 0, DATA[:-1]))
    [part] = tmp_path.rglob("*.part")
    part.write_bytes(DATA)  # an agent that died between the last byte and the renaming
    assert not store.state_of(SHA256).complete
    assert store.put(PutBlob(SHA256, len(DATA), len(DATA), b"")).complete


@pytest.mark.parametrize("left", [DATA + b"more", b"x" * len(DATA)])
def test_a_part_that_cannot_become_the_file_is_dropped(tmp_path, left):
    store = BlobStore(tmp_path)
    store.put(PutBlob(SHA256, len(DATA), 0, DATA[:5]))
    [part] = tmp_path.rglob("*.part")
    part.write_bytes(left)
    assert store.put(PutBlob(SHA256, len(DATA), len(left), b"")).have == 0
    assert store.put(PutBlob(SHA256, len(DATA), 0, DATA)).complete
