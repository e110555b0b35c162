"""Turns options into vLLM's own arguments, and says what it does not take."""

import ast
import json
import os
from collections.abc import Collection, Iterator
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from microg_bench.errors import UsageError
from microg_bench.options import Options, engine_options, flag

# An option goes to vLLM under its own name, but for these. Thinking is set in each prompt, log-probabilities
# are asked for with each; a replica has a vLLM of its own.
_RENAMED = {
    "checkpoint": "model",
    "max_concurrency": "max_num_seqs",
    "processor_args": "mm_processor_kwargs",
}
_APART = ("engine_args", "thinking", "logprobs", "replicas", "ray_address")
OPTION_OF = {_RENAMED.get(name, name): name for name in engine_options("vllm") if name not in _APART}
# Set otherwise: by vLLM from these options, or as replicas.
_DERIVED = {"tokenizer": "checkpoint", "tokenizer_revision": "revision", "data_parallel_size": "replicas"}
# A block is what the prefix cache keeps; the larger default would keep nothing of a short prompt.
CPU_ARGUMENTS: dict[str, Any] = {"block_size": 32, "enforce_eager": True, "dtype": "float32"}
# An answer in a schema must not be filled with white space up to its limit.
COMPACT_JSON = {"structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True}}

# These make vLLM 0.32 run code that their values name; so does any name that holds `plugin`.
_CODE = {
    **dict.fromkeys(
        ("worker_cls", "worker_extension_cls", "scheduler_cls", "distributed_executor_backend"),
        "imports a class by its dotted name",
    ),
    **dict.fromkeys(
        (
            "logits_processors",
            "middleware",
            "model_class_overrides",
            "compilation_config",
            "ec_manager_config",
        ),
        "imports what it names",
    ),
    **dict.fromkeys(
        ("speculative_config", "spec_model", "spec_method"), "imports a proposer by its dotted name"
    ),
    **dict.fromkeys(("kv_transfer_config", "ec_transfer_config"), "imports a connector from a module"),
    **dict.fromkeys(("log_config_file", "logging_config"), "calls what a logging configuration names"),
    **dict.fromkeys(("master_addr", "data_parallel_address"), "takes pickled objects from another machine"),
    "structured_outputs_config": "loads a plugin",
    "trust_remote_code": "runs the code of a checkpoint",
    "config": "reads other arguments from a file",
}
_PLUGINS = ("io_processor_plugin", "reasoning_parser_plugin", "tool_parser_plugin")
_ADDRESS = ("host", "port", "uds")  # of the server that is started here: it answers on this machine only


def check_arguments(options: Options, server: bool = False) -> None:
    """Refuse engine arguments that vLLM, or its `server`, must not get or does not have; imports nothing.

    Raises:
        UsageError: an argument is set by an option, which is named; runs code without `--trust-remote-code`;
            is not known to the installed vLLM, and the nearest names are told; or could be read as others.
    """
    known = _known(server)
    for given, value in options.engine_args.items():
        name = given.replace("-", "_")
        if (option := (OPTION_OF | _DERIVED).get(name)) is not None:
            raise UsageError(f"engine argument {given} is set here by {flag(option)}")
        if server and name in _ADDRESS:
            raise UsageError(f"engine argument {given} is set here: the server answers on this machine only")
        reason = _runs_code(name, value, known)
        if reason and not options.trust_remote_code:
            trust = f"give {flag('trust_remote_code')} on the command line if you trust its authors"
            raise UsageError(f"engine argument {given} {reason}: {trust}")
        if (known and name not in known) or not name.isidentifier():
            near = get_close_matches(name, known, n=3, cutoff=0.5)
            hint = f": did you mean {' or '.join(near)}?" if near else ""
            raise UsageError(f"the installed vLLM has no engine argument {given!r}{hint}")
        if isinstance(value, (list, tuple)) and any(str(one).startswith("-") for one in value):
            raise UsageError(f"engine argument {given}: a value in a list must not begin with a hyphen")


def _runs_code(name: str, value: Any, known: Collection[str]) -> str:
    """How vLLM runs code that an argument names, also one whose name is cut short; "" where it does not."""
    if name == "distributed_executor_backend" and isinstance(value, str) and "." not in value:
        return ""  # one of vLLM's own
    if "plugin" in name:
        return "loads a plugin"
    if name in _CODE or name in known or name == "reasoning_parser":
        return _CODE.get(name, "")
    longer = next((one for one in (*_CODE, *_PLUGINS) if one.startswith(name.partition(".")[0])), None)
    return f"may be read as {longer}, which runs code" if longer else ""


def _known(server: bool) -> set[str]:
    """The arguments of the installed vLLM, as its source declares them; none where it cannot be told."""
    spec = find_spec("vllm")
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()] if spec else []
    files = [folder / "engine" / "arg_utils.py" for folder in folders]
    if server:
        files += [file for folder in folders for file in folder.glob("entrypoints/**/cli_args.py")]
    return {name for file in files if file.is_file() for name in _fields(file)}


def _fields(file: Path) -> Iterator[str]:
    """The fields of the classes of arguments in `file`."""
    for node in ast.parse(file.read_bytes()).body:
        if isinstance(node, ast.ClassDef) and node.name.endswith(("EngineArgs", "FrontendArgs")):
            yield from (
                one.target.id
                for one in node.body
                if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
            )


def arguments(options: Options) -> dict[str, Any]:
    """The arguments of vLLM that `options` give; what they leave to vLLM is left out."""
    given = {name: getattr(options, option) for name, option in OPTION_OF.items()}
    given["mm_processor_kwargs"] = options.processor_kwargs()
    return {name: value for name, value in given.items() if value not in (None, False, "auto", {})} | (
        options.engine_args
    )


def flags(arguments: dict[str, Any]) -> list[str]:
    """Arguments in the form of the command line of vLLM's server: one word each, but for lists."""
    return [word for name, value in arguments.items() for word in _flag(f"--{name.replace('_', '-')}", value)]


def _flag(name: str, value: Any) -> list[str]:
    if value is None:
        return []
    if isinstance(value, bool):
        return [name if value else name.replace("--", "--no-", 1)]
    if isinstance(value, (list, tuple)):
        return [name, *map(str, value)]
    return [f"{name}={json.dumps(value) if isinstance(value, dict) else value}"]


def prepare_cpu() -> bool:
    """Whether vLLM runs on the CPU here; it is then kept from taking half of the machine's memory."""
    if not import_module("vllm.platforms").current_platform.is_cpu():
        return False
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB
    return True
