"""Run `visdiv` as `python -m visdiv_assets`."""

from visdiv_assets.cli.main import main

if __name__ == "__main__":
    main(prog_name="python -m visdiv_assets")
