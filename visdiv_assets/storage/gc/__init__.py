"""What `visdiv gc` removes: units that no manifest lists, and what was left by partitions that vanished."""
