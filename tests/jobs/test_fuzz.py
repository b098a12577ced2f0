"""Bytes that come from elsewhere, mutated: refused in one sentence or equal, never a traceback, never NaN."""

import json
import shutil

import numpy as np
import pyarrow.fs
import pytest

from meqc_marl.cluster.archive import pack, unpack
from meqc_marl.errors import InputError
from meqc_marl.jobs.checkpoint import newest_whole, save_checkpoint
from meqc_marl.jobs.owner import Owner
from meqc_marl.jobs.trial_checkpoint import farthest_sound
from meqc_marl.policies.learned import load_policy
from tests.cluster.test_archive import forged
from tests.jobs.test_checkpoint import MINE, Saver
from tests.jobs.test_trial_checkpoint import sealed
from tests.policies.test_policy_files import OBSERVATION, edit, make_policy
from tests.sentences import is_one_sentence

MUTATIONS = 150
WORDS = (b"NaN", b"-Infinity", b"1e999", b"9" * 400, b"null", b"[" * 2_000, b'"', b"{}", b"\\u0000", b"true")
pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


def mutate(content, rng):
    """Some bytes otherwise: a bit, a byte, a run of bytes, a cut, an insertion, a swap, text that JSON knows."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(len(content) + 1))
        length = int(rng.integers(1, 64))
        kind = rng.integers(8)
        if kind == 0 and content:
            content[at % len(content)] ^= 1 << int(rng.integers(8))
        elif kind == 1 and content:
            content[at % len(content)] = int(rng.integers(256))
        elif kind == 2:
            content[at : at + length] = rng.bytes(length)
        elif kind == 3:
            del content[at:]
        elif kind == 4:
            content[at:at] = rng.bytes(length)
        elif kind == 5:
            content[at : at + length] = content[at : at + length][::-1]
        elif kind == 6:
            words = [
                b"NaN",
                b"-Infinity",
                b"1e999",
                b"9" * 400,
                b"null",
                b"[" * 2_000,
                b'"',
                b"{}",
                b"\\u0000",
                b"true",
            ]
            content[at : at + length] = words[int(rng.integers(len(words)))]
        else:
            del content[at : at + length]
    return bytes(content)


def refused(work, *args):
    """Whether it was refused, in one sentence of at most some hundred characters."""
    try:
        return None, work(*args)
    except InputError as error:
        told = error
    assert is_one_sentence(str(told)), told
    assert len(str(told)) < 1_000
    assert str(told).isprintable()
    return told, None


@pytest.mark.parametrize("has_checksum", [True, False])
@pytest.mark.parametrize("name", ["policy.json", "policy.safetensors"])
def test_policies(tmp_path, name, has_checksum):
    rng = np.random.default_rng(len(name) + has_checksum)
    make_policy().save(tmp_path)
    if not has_checksum:
        edit(tmp_path, lambda description: None)
    whole, good = (tmp_path / name).read_bytes(), load_policy(tmp_path).decide(OBSERVATION)
    count = 0
    for _ in range(MUTATIONS):
        mutated = mutate(whole, rng)
        (tmp_path / name).write_bytes(mutated)
        error, policy = refused(load_policy, tmp_path)
        count += error is not None
        if policy is not None:
            mode, fraction = policy.decide(OBSERVATION)
            assert np.isfinite(fraction).all()
            assert ((fraction >= 0) & (fraction <= 1)).all()
            if has_checksum:
                np.testing.assert_array_equal(mode, good[0])
                np.testing.assert_array_equal(fraction, good[1])
    assert count > MUTATIONS // 2


def test_policies_with_weights_of_any_bits(tmp_path):
    """Finite numbers of any size, where there is no checksum to notice them."""
    rng = np.random.default_rng(1)
    make_policy().save(tmp_path)
    edit(tmp_path, lambda description: None)
    whole = bytearray((tmp_path / "policy.safetensors").read_bytes())
    start = 8 + int.from_bytes(whole[:8], "little")
    for _ in range(MUTATIONS):
        content = bytearray(whole)
        for _ in range(int(rng.integers(1, 20))):
            at = start + 4 * int(rng.integers((len(whole) - start) // 4))
            content[at : at + 4] = rng.bytes(4)
        (tmp_path / "policy.safetensors").write_bytes(content)
        _, policy = refused(load_policy, tmp_path)
        if policy is not None:
            assert np.isfinite(policy.decide(OBSERVATION)[1]).all()


def test_checkpoints_of_runs(tmp_path):
    rng = np.random.default_rng(2)
    (tmp_path / "whole").mkdir()
    for iteration in (1, 2):
        save_checkpoint(Saver(iteration), Saver(), tmp_path / "whole", belongs_to=MINE)
    passed_over = 0
    for _ in range(MUTATIONS):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        shutil.copytree(tmp_path / "whole", tmp_path / "run")
        newest = tmp_path / "run" / "checkpoint_000002"
        files = sorted(path for path in newest.rglob("*") if path.is_file())
        path = files[int(rng.integers(len(files)))]
        whole = path.read_bytes()
        path.write_bytes(mutate(whole, rng))
        told = []
        found = newest_whole(tmp_path / "run", MINE, told.append)
        if found == newest:
            assert path.read_bytes() == whole or path.name == "manifest.json"
        else:
            assert found.name == "checkpoint_000001"
            assert len(told) == 1
            passed_over += 1
    assert passed_over > MUTATIONS // 2


def test_checkpoints_of_trials(tmp_path):
    rng = np.random.default_rng(3)
    filesystem = pyarrow.fs.LocalFileSystem()
    sealed(tmp_path / "whole" / "checkpoint_000000", 100)
    sealed(tmp_path / "whole" / "checkpoint_000001", 200)
    for _ in range(MUTATIONS):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        shutil.copytree(tmp_path / "whole", tmp_path / "run")
        newest = tmp_path / "run" / "checkpoint_000001"
        files = sorted(path for path in newest.rglob("*") if path.is_file())
        path = files[int(rng.integers(len(files)))]
        whole = path.read_bytes()
        path.write_bytes(mutate(whole, rng))
        error, found = refused(farthest_sound, filesystem, str(tmp_path / "run"))
        assert error is None
        if found.env_steps == 200:
            assert path.read_bytes() == whole or path.name == "complete.json"
        else:
            assert found.env_steps == 100


def test_logs():
    rng = np.random.default_rng(4)
    files = {"trials.json": b'{"trials": []}' * 20, "sweep.png": bytes(range(256))}
    log = f"picture: x\n{pack(files)}\nbye\n".encode()
    for _ in range(2 * MUTATIONS):
        error, found = refused(unpack, mutate(log, rng).decode("latin-1"), list(files))
        assert error is not None or found == files


def test_reports_under_a_checksum_of_their_own():
    """Whoever forges a log can compute a checksum."""
    rng = np.random.default_rng(5)
    whole = json.dumps({"trials.json": "YWJj", "sweep.png": "AAAA"}).encode()
    for _ in range(2 * MUTATIONS):
        error, found = refused(unpack, forged(mutate(whole, rng)), ["trials.json", "sweep.png"])
        if error is None:
            assert found.keys() <= {"trials.json", "sweep.png"}
            assert all(isinstance(data, bytes) for data in found.values())


def test_leases():
    """A lease is read or not; its owner is judged either way."""
    rng = np.random.default_rng(6)
    whole = Owner.this_process(10.0).to_bytes()
    for _ in range(2 * MUTATIONS):
        owner = Owner.from_bytes(mutate(whole, rng))
        assert owner is None or owner.is_alive() in (True, False, None)
