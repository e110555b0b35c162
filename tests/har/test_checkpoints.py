"""Weights in each layout that is published, whole or not, and files that are hostile."""

import pickle
import warnings
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import numpy as np
import torch

from microg_bench import har
from microg_bench.errors import DataError, UsageError
from microg_bench.har import checkpoints
from microg_bench.har.checkpoints import (
    PROJECTION,
    build,
    caffe2_key,
    fill,
    find_checkpoint,
    read_facts,
    read_weights,
    save_weights,
)
from microg_bench.har.models.head import ActionNetwork
from microg_bench.har.recipe import MODELS, read_recipe
from microg_bench.har.zoo import ZooEntry, read_zoo
from tests.har.models.small import SMALL

pytestmark = pytest.mark.heavy


def small(name: str = "slow", classes: int = 50, seed: int = 0) -> ActionNetwork:
    torch.manual_seed(seed)
    network = SMALL[name](classes)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape))
    return network


def same(one: ActionNetwork, other: ActionNetwork) -> bool:
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


BLOBS = {"weight": "w", "bias": "b", "running_mean": "rm", "running_var": "riv"}


def blob(key: str) -> str:
    """The name in the Caffe2 zoo of a weight of SlowFast or of a non-local block."""
    place, _, ending = key.rpartition(".")
    stage, _, rest = place.partition(".")
    fast = "t_" if "pathway1" in rest or stage.endswith("_fuse") else ""
    rest = rest.replace("pathway0_", "").replace("pathway1_", "")
    norm = rest.endswith("bn")
    ending = "s" if norm and ending == "weight" else BLOBS[ending]
    last = {"2": 1, "3": 1, "4": 1}
    match stage, rest:
        case "head", _:
            name = "pred"
        case "s1", "stem.conv":
            name = "conv1"
        case "s1", "stem.bn":
            name = "res_conv1_bn"
        case "s1_fuse", _:
            name = "pool1_subsample" + ("_bn" if norm else "")
        case fuse, _ if fuse.endswith("_fuse"):
            name = f"res{fuse[1]}_{last[fuse[1]]}_branch2c_bn_subsample" + ("_bn" if norm else "")
        case _, _ if rest.startswith("nonlocal"):
            block, _, part = rest.removeprefix("nonlocal").partition(".")
            return f"nonlocal_conv{stage[1]}_{block}_{part.removeprefix('conv_')}_{ending}"
        case _:
            block, _, part = rest.removeprefix("res").partition(".")
            name = f"res{stage[1]}_{block}_{part.replace('branch2.', 'branch2')}"
    return f"{fast}{name}_{ending}"


def caffe2(path: Path, network: ActionNetwork, **more: Any) -> Path:
    """A file as the Caffe2 zoo has them, of an old pickle protocol."""
    weights = {key: value.numpy() for key, value in network.state_dict().items() if "num_batches" not in key}
    blobs = {blob(key): value for key, value in weights.items()}
    path.write_bytes(
        pickle.dumps({"blobs": {**blobs, "conv1_w_momentum": np.ones(3), "lr": np.ones(1), **more}}, 2)
    )
    return path


def pyth(path: Path, weights: Any) -> Path:
    torch.save({"epoch": 1, "model_state": weights, "cfg": "a: 1"}, path)
    return path


@pytest.mark.parametrize("name", ["slow", "slowfast"])
def test_each_layout_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    network = small(name)
    save_weights(tmp_path / "own.safetensors", network, {"model": "A", "recipe": "fixed"})
    files = [
        caffe2(tmp_path / "zoo.pkl", network),
        pyth(tmp_path / "zoo.pyth", network.state_dict()),
        tmp_path / "own.safetensors",
    ]
    torch.save(network.state_dict(), tmp_path / "old.pyth", _use_new_zipfile_serialization=False)
    for path in [*files, tmp_path / "old.pyth"]:
        other = small(name, seed=1)
        assert fill(other, read_weights(path), path) is True
        assert same(network, other), path.name
    assert read_facts(tmp_path / "own.safetensors") == {"model": "A", "recipe": "fixed"}
    assert read_facts(files[1]) == {}


def test_own_weights_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    facts = {"model": "A", "recipe": "fixed", "trained_on": "x", "labels": "y", "epoch": "3"}
    for name in ("a", "b"):
        save_weights(tmp_path / name, small(), facts)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("conv1_w", "s1.pathway0_stem.conv.weight"),
        ("t_res_conv1_bn_riv", "s1.pathway1_stem.bn.running_var"),
        ("res2_0_branch1_bn_s", "s2.pathway0_res0.branch1_bn.weight"),
        ("t_res5_2_branch2c_bn_b", "s5.pathway1_res2.branch2.c_bn.bias"),
        ("nonlocal_conv4_5_theta_b", "s4.pathway0_nonlocal5.conv_theta.bias"),
        ("nonlocal_conv3_1_bn_rm", "s3.pathway0_nonlocal1.bn.running_mean"),
        ("t_pool1_subsample_bn_s", "s1_fuse.bn.weight"),
        ("t_res4_5_branch2c_bn_subsample_w", "s4_fuse.conv_f2s.weight"),
        ("pred_b", "head.projection.bias"),
        ("conv1_w_momentum", None),
        ("model_iter", None),
    ],
)
def test_blobs_of_the_caffe2_zoo_have_names(name: str, key: str | None) -> None:
    assert caffe2_key(name) == key


def test_only_the_last_layer_may_have_another_number_of_outputs(tmp_path: Path) -> None:
    path = pyth(tmp_path / "kinetics.pyth", small(classes=400).state_dict())
    network = small(seed=1)
    before = {key: network.state_dict()[key].clone() for key in PROJECTION}
    assert fill(network, read_weights(path), path) is False
    assert all(torch.equal(network.state_dict()[key], before[key]) for key in PROJECTION)


def test_what_does_not_fill_the_network_is_named(tmp_path: Path) -> None:
    weights = dict(small().state_dict())
    del weights["s2.pathway0_res0.branch2.a.weight"]
    weights["s9.more"] = torch.ones(1)
    weights["s3.pathway0_res0.branch2.b.weight"] = torch.ones(3)
    before = {key: value.clone() for key, value in small(seed=1).state_dict().items()}
    network = small(seed=1)
    with pytest.raises(DataError) as caught:
        fill(network, weights, tmp_path / "w")
    said = str(caught.value)
    for key in ("s2.pathway0_res0.branch2.a.weight", "s9.more", "s3.pathway0_res0.branch2.b.weight"):
        assert key in said
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    patterns = ("s2.*.a.weight", "s3.*.b.weight", "s9.*")
    with pytest.raises(DataError):  # weights with the last layer are whole
        fill(network, weights, tmp_path / "w", patterns)
    weights["head.projection.weight"] = torch.ones(400, 256)
    assert fill(network, weights, tmp_path / "w", patterns) is False


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    weights = dict(small().state_dict())
    weights["s1.pathway0_stem.bn.bias"] = torch.full((8,), torch.nan)
    with pytest.raises(DataError, match="not finite"):
        fill(small(), weights, tmp_path / "w")


def test_a_shorter_fusion_kernel_is_the_same_function() -> None:
    network = small("slowfast").eval()
    weights = dict(network.state_dict())
    short = {key: value[:, :, 1:-1].clone() for key, value in weights.items() if "conv_f2s" in key}
    with torch.no_grad():
        for key in short:
            weights[key][:, :, [0, -1]] = 0
    network.load_state_dict(weights)
    other = small("slowfast", seed=1).eval()
    assert fill(other, {**weights, **short}, Path("w")) is True
    assert same(network, other)
    kept = small("slowfast", seed=1)
    start = {key: value for key, value in weights.items() if not key.startswith("head.")}
    fill(kept, {**start, **short}, Path("w"), ("s[1234]_fuse.conv_f2s.weight",))
    assert torch.equal(
        kept.state_dict()["s1_fuse.conv_f2s.weight"],
        small("slowfast", seed=1).state_dict()["s1_fuse.conv_f2s.weight"],
    )


def test_the_names_of_pytorchvideo_are_those_of_pyslowfast(tmp_path: Path) -> None:
    with torch.device("meta"):
        own = build(read_recipe("MVIT_B_16x4"), 400).state_dict()
    torch.manual_seed(0)
    expected = {key: torch.randn(value.shape) for key, value in own.items()}
    there: dict[str, torch.Tensor] = {}
    for key, value in expected.items():
        if ".qkv." in key:
            parts = zip("qkv", value.chunk(3), strict=True)
            there |= {key.replace(".qkv.", f".{name}."): part.clone() for name, part in parts}
        elif key.startswith(("cls_token", "pos_embed")):
            there[f"cls_positional_encoding.{key}"] = value
        else:
            renamed = key.replace("patch_embed.proj.", "patch_embed.patch_model.")
            there["norm_embed." + key.removeprefix("norm.") if key.startswith("norm.") else renamed] = value
    found = read_weights(pyth(tmp_path / "v.pyth", there))
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_paper_recipe_leaves_random_what_the_authors_did(tmp_path: Path) -> None:
    counts = {}
    for model in MODELS:
        recipe = read_recipe(model, "paper")
        with torch.device("meta"):
            keys = [key for key in build(recipe, 50).state_dict() if "num_batches" not in key]
        counts[model] = sum(checkpoints._any(key, recipe.random) for key in keys)
    # Of the 42 keys of MViTv1 that were not loaded, two are of the last layer.
    assert counts == {
        **dict.fromkeys(MODELS, 0),
        "C2D_8x8_R50": 9,
        "C2D_NLN_8x8_R50": 60,
        "SLOWFAST_4x16_R50": 4,
        "MVIT_B_16x4": 40,
    }


class Evil:
    def __reduce__(self) -> Any:
        return (Path("pwned").touch, ())


class Command:
    def __reduce__(self) -> Any:
        return (eval, ("__import__('os').mkdir('pwned')",))


@pytest.mark.parametrize("evil", [Evil(), Command()], ids=["method", "eval"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_code_in_a_pickle_is_never_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evil: object, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"blobs": {"conv1_w": evil}}, protocol))
    torch.save({"model_state": {"a": torch.ones(1)}, "more": evil}, tmp_path / "a.pyth")
    torch.save({"model_state": evil}, tmp_path / "b.pyth", _use_new_zipfile_serialization=False)
    for name in ("a.pkl", "a.pyth", "b.pyth"):
        with pytest.raises(DataError, match="safely"):
            read_weights(tmp_path / name)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04broken",
        b"no weights at all",
        pickle.dumps({"a": 1}),
        pickle.dumps([1, 2]),
        pickle.dumps({"blobs": {}})[:-3],
        pickle.dumps(OrderedDict(blobs=3)),
        b"\x10\0\0\0\0\0\0\0{broken}",
        b"\xff" * 7 + b"\x7f{",
        b"." * 40,
        b"(" * 100_000,
    ],
)
def test_what_is_no_checkpoint_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.pkl"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_weights(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_another_model_is_refused(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", small(), {"model": "X3D_S"})
    with pytest.raises(DataError, match="X3D_S, not of C2D"):
        read_weights(tmp_path / "w.safetensors", "C2D_8x8_R50")


def test_the_zoo_has_what_the_recipes_start_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zoo = read_zoo()
    recipes = [read_recipe(model, name) for model in MODELS for name in ("fixed", "paper")]
    assert {recipe.pretrained for recipe in recipes} <= set(zoo)
    assert {entry.classes for entry in zoo.values()} == {400, 600, 80}
    with pytest.raises(UsageError, match="by hand"):
        find_checkpoint("kinetics/MVIT_B_16x4")
    with pytest.raises(UsageError, match="SLOWONLY_8x8_R50"):
        find_checkpoint("kinetics/SLOWONLY_8x8")


def test_weights_are_downloaded_once_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    content = caffe2(tmp_path / "there.pkl", small())
    asked = []

    def download(url: str, target: str) -> None:
        asked.append(url)
        Path(target).write_bytes(content.read_bytes())

    monkeypatch.setattr("torch.hub.download_url_to_file", download)
    entry = {"url": "https://zoo.invalid/a.pkl", "trained_on": "Kinetics-400", "classes": 400}
    monkeypatch.setattr(checkpoints, "read_zoo", lambda: {"a": ZooEntry(**entry)})
    found = find_checkpoint("a")
    assert (found.name, found.trained_on) == ("a", "Kinetics-400")
    assert find_checkpoint("a").path == found.path
    assert asked == ["https://zoo.invalid/a.pkl"]
    wrong = ZooEntry(**entry, sha256="0" * 64)
    monkeypatch.setattr(checkpoints, "read_zoo", lambda: {"b": wrong})
    with pytest.raises(DataError, match="SHA-256"):
        find_checkpoint("b")
    assert [path.name for path in found.path.parent.iterdir()] == ["a.pkl"]


def test_published_weights_of_ava_have_the_blocks_that_they_need() -> None:
    entry = read_zoo()["ava/SLOWFAST_32x2_R101_50_50"]
    found = checkpoints.WeightsFile(name="a", path=Path("a"), network=entry.network)
    with torch.device("meta"):
        network = build(read_recipe("SLOWFAST_32x2_R101"), 80, found)
    blocks = {key.split(".")[1] for key in network.state_dict() if "nonlocal" in key}
    assert blocks == {"pathway0_nonlocal6", "pathway0_nonlocal13", "pathway0_nonlocal20"}


def test_load_model_takes_a_file(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build(read_recipe("X3D_S"), 50)
    save_weights(tmp_path / "w.safetensors", network, {"model": "X3D_S"})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(har.load_model("X3D_S", tmp_path / "w.safetensors"), network)
        assert har.load_model("X3D_S", "none").head.projection.out_features == 50
    with pytest.warns(UserWarning, match=r"w\.safetensors: its last layer does not have 80 outputs"):
        assert (
            har.load_model("X3D_S", tmp_path / "w.safetensors", classes=80).head.projection.out_features == 80
        )
    assert {"load_model", "recognise", "train", "evaluate"} <= set(dir(har))
    with pytest.raises(UsageError, match="X3D_S"):
        har.load_model("X3D")
    with pytest.raises(UsageError, match="fixed"):
        har.load_model("X3D_S", recipe="other")
