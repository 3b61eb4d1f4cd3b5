"""Dagster assets, resources, automation and runs, the engines that carry units of work, and the doctor."""
