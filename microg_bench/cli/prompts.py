"""`microg-bench prompts`: list the prompt templates, or render one."""

from pathlib import Path
from typing import Annotated

import typer

from microg_bench.cli.console import AsJson, columns, output, print_json, print_table
from microg_bench.errors import UsageError
from microg_bench.prompts import Template, read_template, shipped_templates
from microg_bench.records import Request, ShownPerson
from microg_bench.tasks import HAR
from microg_bench.text import unknown

QUESTION = "Who is in the video?"

app = typer.Typer(
    help="List the prompts, or show one as a model gets it.",
    epilog="Examples:  `microg-bench prompts`  ·  `microg-bench prompts show vqa-default`",
    rich_markup_mode="markdown",
    add_completion=False,
)


@app.callback(invoke_without_command=True)
def list_prompts(context: typer.Context, as_json: AsJson = False) -> None:
    """List the prompts, or show one as a model gets it."""
    if context.invoked_subcommand:
        return
    if as_json:
        found = shipped_templates().values()
        print_json([{**one.model_dump(mode="json"), "sha256": one.sha256} for one in found])
        return
    table = columns("prompt", "--prompt", "version", "hash", "family", "purpose")
    for template in shipped_templates().values():
        short = template.id.removeprefix(f"{template.task}-")
        version, digest = str(template.version), template.sha256[:8]
        table.add_row(template.id, short, version, digest, template.family, template.purpose)
    print_table(table)


@app.command(epilog='Example:  `microg-bench prompts show vqa-default --question "What floats beside him?"`')
def show(
    name: Annotated[str, typer.Argument(help="Id of a prompt, or a .toml file.")],
    question: Annotated[str, typer.Option(help="The question to ask, for prompts of vqa.")] = QUESTION,
    as_json: AsJson = False,
) -> None:
    """Render one prompt."""
    template = _find(name)
    asked = question if template.task == "vqa" else None
    person = ShownPerson(frame=1, corners=(0, 0, 1, 1)) if template.task == HAR else None
    request = Request(id="a", task=template.task, video_id="a", source="a", question=asked, person=person)
    instruction = template.render(request)
    if as_json:
        print_json({"prompt": str(template.identity), **instruction.model_dump(mode="json")})
        return
    lines = [f"{template.identity}, for {template.task}, family {template.family}", template.purpose, ""]
    for role, text in (("system", instruction.system), ("user", instruction.user)):
        lines += [f"[{role}] {line}" for line in text.splitlines()]
    output().print("\n".join(lines))


def _find(name: str) -> Template:
    if name.endswith(".toml"):
        return read_template(Path(name))
    templates = shipped_templates()
    if name not in templates:
        raise UsageError(unknown("prompt", name, templates))
    return templates[name]
