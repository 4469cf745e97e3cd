"""Torch's own weight files, read without torch: equal to torch's reading, and nothing in them is run."""

import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from contextlib import suppress

import numpy as np
import pytest
import torch

from engine.catalog import describe
from engine.errors import CheckpointCorrupt, FolderIncomplete, ModelInvalid, WeightsRefused
from engine.files.checkpoint import read_checkpoint, read_part
from engine.files.pickled import read_pickled
from engine.weights import Target, fill

TYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


def filled(entries):
    """The tensors that our loader makes of the entries."""
    made = {name: torch.empty(entry.shape, dtype=torch.float64) for name, entry in entries.items()}
    fill(made, entries, {name: Target(name) for name in entries})
    return made


def random_state(seed):
    generator = np.random.default_rng(seed)
    state = OrderedDict()
    for number in range(int(generator.integers(1, 40))):
        shape = generator.integers(0, 5, int(generator.integers(1, 4))).tolist()
        tensor = torch.from_numpy(generator.normal(size=shape)).to(TYPES[generator.integers(len(TYPES))])
        state[f"layer.{number}.weight"] = torch.nn.Parameter(tensor) if generator.random() < 0.5 else tensor
    return state


@pytest.mark.parametrize("seed", range(12))
def test_random_checkpoints_are_what_torch_reads(tmp_path, seed):
    file = tmp_path / "x.bin"
    torch.save(random_state(seed), file)
    expected = torch.load(file, weights_only=True)
    tensors = filled(read_pickled(file))
    assert tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        assert tensors[name].shape == tensor.shape
        assert torch.equal(tensors[name], tensor.double())


def test_a_module_s_state_with_its_metadata_and_its_counters(tmp_path):
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    torch.save(module.state_dict(), tmp_path / "x.bin")
    entries = read_pickled(tmp_path / "x.bin")
    assert {name: entry.shape for name, entry in entries.items()} == {
        name: tuple(tensor.shape) for name, tensor in module.state_dict().items()
    }
    assert entries["1.num_batches_tracked"].dtype == "I64"


def test_views_into_one_storage_are_read_where_they_begin(tmp_path):
    whole = torch.arange(24.0).reshape(6, 4)
    torch.save({"whole": whole, "rows": whole[2:4], "tied": whole}, tmp_path / "x.bin")
    tensors = filled(read_pickled(tmp_path / "x.bin"))
    assert torch.equal(tensors["rows"], whole[2:4].double())
    assert torch.equal(tensors["tied"], tensors["whole"])


def test_every_protocol_that_torch_can_write(tmp_path):
    for protocol in (2, 3, 4, 5):
        torch.save(random_state(3), tmp_path / "x.bin", pickle_protocol=protocol)
        assert filled(read_pickled(tmp_path / "x.bin")).keys() == random_state(3).keys()


class Ran:
    """A pickle that would leave a file behind."""

    def __init__(self, call, *arguments):
        self._reduced = (call, arguments)

    def __reduce__(self):
        return self._reduced


@pytest.fixture
def hostile(tmp_path):
    """Writes a weight file with an object in it; its reading must leave `ran` unwritten."""
    ran = tmp_path / "ran"

    def write(make, **tensors):
        file = tmp_path / "pytorch_model.bin"
        torch.save({**tensors, "x": make(f"touch {ran}")}, file)
        return file

    yield write
    assert not ran.exists()


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda command: Ran(os.system, command), "posix.system"),
        (lambda command: Ran(eval, f"__import__('os').system({command!r})"), "eval"),
        (lambda command: [(Ran(subprocess.call, command.split()),)], "commands.call"),
        (lambda command: Ran(getattr, Ran(__import__, "os"), "system"), "getattr"),
        (lambda command: {"deep": [Ran(exec, "1")]}, "exec"),
        (lambda command: torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
        (lambda command: torch.ones(2).to_sparse(), "_rebuild_sparse_tensor"),
        (lambda command: torch.load, "torch.serialization.load"),
    ],
    ids=lambda told: told if isinstance(told, str) else "",
)
def test_what_is_no_tensor_is_refused_by_name_and_not_run(hostile, make, named):
    file = hostile(make, weight=torch.ones(2))
    with pytest.raises(WeightsRefused, match=rf"pytorch_model.bin.*{named}.*safetensors"):
        read_pickled(file)


def archive(file, program, **data):
    with zipfile.ZipFile(file, "w") as written:
        written.writestr("m/data.pkl", program)
        written.writestr("m/byteorder", "little")
        for key, raw in data.items():
            written.writestr(f"m/data/{key}", raw)
    return file


GLOBAL_SYSTEM = b"cposix\nsystem\n"


@pytest.mark.parametrize(
    "program",
    [
        b"\x80\x02" + GLOBAL_SYSTEM + b"X\x04\x00\x00\x00true\x85R.",
        b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.",
        b"\x80\x02(iposix\nsystem\n.",  # INST
        b"\x80\x02(X\x04\x00\x00\x00true" + GLOBAL_SYSTEM + b"o.",  # OBJ
        b"\x80\x02\x82\x01.",  # EXT1
        b"\x80\x02ccollections\nOrderedDict\n}X\x08\x00\x00\x00__code__K\x01sb.",  # BUILD on a function
        b"\x80\x02ccollections\nOrderedDict\n)\x81.",  # NEWOBJ
        b"\x80\x02X\x04\x00\x00\x00true)R.",
        b"\x80\x02}(]K\x01u.",
        b"\x80\x02]K\x01\x85Q.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x01))tR.",
    ],
)
def test_steps_that_data_has_no_need_of_are_refused(tmp_path, program):
    with pytest.raises(WeightsRefused, match="not run"):
        read_pickled(archive(tmp_path / "x.bin", program))


@pytest.mark.parametrize(
    "program", [b"", b"\x80\x02", b"\x80\x02R.", b"\x80\x02t.", b"\x80\x02h\x07.", b"no pickle", b"."]
)
def test_what_is_no_pickle_is_corrupt(tmp_path, program):
    with pytest.raises(CheckpointCorrupt, match="no pickle"):
        read_pickled(archive(tmp_path / "x.bin", program))


def test_a_key_of_ten_thousand_nested_tuples_is_not_hashed(tmp_path):
    program = b"\x80\x02})" + b"\x85" * 1_000_000 + b"K\x01s."
    with pytest.raises(WeightsRefused):
        read_pickled(archive(tmp_path / "x.bin", program))


def tensor_program(count=4, shape=(4,), strides=(1,), offset=0, storage=b"FloatStorage", key=b"0"):
    """A pickle of one tensor, with whatever claims."""

    def number(value):
        return pickle.dumps(value, 2)[2:-1]

    def text(value):
        return b"X" + len(value).to_bytes(4, "little") + value

    claims = b"(" + b"".join(map(number, shape)) + b"t(" + b"".join(map(number, strides)) + b"t"
    persistent = (
        b"(" + text(b"storage") + b"ctorch\n" + storage + b"\n" + text(key) + text(b"cpu") + number(count) + b"tQ"
    )
    call = b"ctorch._utils\n_rebuild_tensor_v2\n(" + persistent + number(offset) + claims + b"\x89NtR"
    return b"\x80\x02}" + text(b"w") + call + b"s."


def test_a_tensor_by_hand_is_read(tmp_path):
    data = np.arange(4, dtype="<f4")
    file = archive(tmp_path / "x.bin", tensor_program(), **{"0": data.tobytes()})
    assert filled(read_pickled(file))["w"].tolist() == data.tolist()


@pytest.mark.parametrize(
    "claims",
    [
        {"shape": (8,)},
        {"offset": 1},
        {"count": 5},
        {"count": 2**62},
        {"shape": (2**40, 2**40), "strides": (2**40, 1)},
        {"key": b"1"},
        {"key": b"../data.pkl"},
        {"storage": b"DoubleStorage"},
        {"shape": (-4,)},
        {"offset": -1},
        {"shape": (2, 2)},
        {"storage": b"QInt8Storage"},
        {"storage": b"float32"},
    ],
    ids=str,
)
def test_claims_that_the_archive_does_not_bear_out_are_refused(tmp_path, claims):
    file = archive(tmp_path / "x.bin", tensor_program(**claims), **{"0": bytes(16)})
    with pytest.raises((CheckpointCorrupt, WeightsRefused), match=r"x\.bin"):
        read_pickled(file)


def test_a_tensor_with_gaps_is_refused_with_what_to_do(tmp_path):
    torch.save({"turned": torch.ones(2, 3).T}, tmp_path / "x.bin")
    with pytest.raises(WeightsRefused, match=r"turned \[3, 2\].*save_file"):
        read_pickled(tmp_path / "x.bin")


def test_torch_s_format_of_old_is_refused_with_what_to_do(tmp_path):
    torch.save(random_state(1), tmp_path / "x.bin", _use_new_zipfile_serialization=False)
    with pytest.raises(WeightsRefused, match=r"before 1\.6.*save_file"):
        read_pickled(tmp_path / "x.bin")


@pytest.mark.parametrize("value", [3, "text", None, [torch.ones(1)], {"nested": torch.ones(1)}])
def test_what_is_among_the_tensors_is_named(tmp_path, value):
    torch.save({"weight": torch.ones(1), "step": value}, tmp_path / "x.bin")
    with pytest.raises(WeightsRefused, match="'step'"):
        read_pickled(tmp_path / "x.bin")


def test_compressed_storages_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.bin", "w", zipfile.ZIP_DEFLATED) as written:
        written.writestr("m/data.pkl", tensor_program())
        written.writestr("m/data/0", bytes(16))
    with pytest.raises(WeightsRefused, match="compressed"):
        read_pickled(tmp_path / "x.bin")


@pytest.mark.parametrize("keep", [0, 4, 100, 1000, -1, -30])
def test_a_file_that_was_cut_off_is_corrupt(tmp_path, keep):
    torch.save(random_state(2), tmp_path / "x.bin")
    (tmp_path / "x.bin").write_bytes((tmp_path / "x.bin").read_bytes()[:keep])
    with pytest.raises(CheckpointCorrupt):
        read_pickled(tmp_path / "x.bin")


def test_any_one_byte_may_be_wrong_and_the_answer_is_tensors_or_one_of_our_errors(tmp_path):
    torch.save(random_state(5), tmp_path / "x.bin")
    raw = (tmp_path / "x.bin").read_bytes()
    generator = np.random.default_rng(0)
    for place in generator.integers(0, len(raw), 300):
        changed = bytearray(raw)
        changed[place] ^= int(generator.integers(1, 256))
        (tmp_path / "y.bin").write_bytes(changed)
        with suppress(ModelInvalid):
            read_pickled(tmp_path / "y.bin")


def as_pickles(folder, *, parts=1):
    """A folder's safetensors written as torch writes them."""
    from safetensors.torch import load_file

    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    if parts == 1:
        torch.save(tensors, folder / "pytorch_model.bin")
        return
    places = {name: f"pytorch_model-{place % parts}.bin" for place, name in enumerate(tensors)}
    for file in set(places.values()):
        torch.save({name: tensors[name] for name, place in places.items() if place == file}, folder / file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": places}))


@pytest.mark.parametrize("parts", [1, 3])
def test_a_model_of_pickled_weights_gives_the_same_vectors(opened, run, build_checkpoint, decode, parts):
    checkpoint = build_checkpoint()
    from engine.protocol import EmbedRequest

    async def vectors():
        async with opened() as runtime:
            return decode(await runtime.embed(EmbedRequest(model=checkpoint.ref(), inputs=["w1 w2", "w7"])))

    expected = run(vectors())
    as_pickles(checkpoint.folder, parts=parts)
    assert np.array_equal(run(vectors()), expected)


def test_safetensors_win_where_both_are_there(build_checkpoint):
    folder = build_checkpoint().folder
    (folder / "pytorch_model.bin").write_bytes(b"whatever")
    assert {entry.file.name for entry in describe(folder).tensors.values()} == {"model.safetensors"}


def test_a_folder_without_weights_names_what_is_looked_for(tmp_path):
    with pytest.raises(FolderIncomplete, match=r"model\.safetensors, pytorch_model\.bin"):
        read_checkpoint(tmp_path)


def test_a_part_is_read_in_either_form(tmp_path):
    assert read_part(tmp_path, "sparse_linear") is None
    torch.save(torch.nn.Linear(4, 1).state_dict(), tmp_path / "sparse_linear.pt")
    entries = read_part(tmp_path, "sparse_linear")
    assert entries is not None
    assert entries["weight"].shape == (1, 4)


def test_reading_needs_no_torch(tmp_path):
    torch.save(random_state(1), tmp_path / "x.bin")
    code = (
        "import sys, pathlib; from engine.files.pickled import read_pickled;"
        "assert read_pickled(pathlib.Path(sys.argv[1])); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "x.bin")], check=True)
