"""`init`: a commented configuration and a sample list, and a pipeline that runs the job."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.frame import commands, ending
from orchestrator.errors import ExitCode
from orchestrator.report import streams

STEPS = {
    "github": (
        "commit and push, put the vendor's key into the secret EKYCPRO_API_KEY of the repository, which has to be "
        'private, and run the workflow with "do" = begin; orchestrator help ci has the rest'
    ),
    "gitlab": (
        "commit and push, put the vendor's key into the masked variable EKYCPRO_API_KEY of the project, which may not "
        "be public, and start a pipeline with DO = begin; orchestrator help ci has the rest"
    ),
}


@commands.command(short_help="Write a commented config and a sample list.", example="init spring --github")
@click.argument("directory", type=click.Path(path_type=Path), default=Path())
@click.option("--github", "system", flag_value="github", help="Also a workflow that runs the job on GitHub.")
@click.option("--gitlab", "system", flag_value="gitlab", help="Also a pipeline that runs the job on GitLab.")
@ending
def init(directory: Path, system: str | None) -> int:
    """Write config.toml, with comments, and a sample list into DIRECTORY, which is here when left out.

    They make a whole job for the embedded vendor, which costs nothing. Nothing is overwritten; where a job is there
    already, --github and --gitlab write the pipeline alone.
    """
    from orchestrator.config.starter import CiSystem, write_pipeline, write_starter

    config = directory / "config.toml"
    paths: tuple[Path, ...] = ()
    if system is None or not config.exists():
        paths = write_starter(directory)
    if system is not None:
        paths += (write_pipeline(config, CiSystem(system)),)
    streams.put("\n".join(f"wrote {path}" for path in paths))
    if system is not None:
        if paths[-1].parent.name == ".gitlab":
            streams.say(f"there is a .gitlab-ci.yml already: let it include /.gitlab/{paths[-1].name} (include: local)")
        streams.say(f"for the pipeline: {STEPS[CiSystem(system)]}")
    streams.say(f"next: orchestrator plan -c {streams.as_argument(config)}")
    return ExitCode.DONE
