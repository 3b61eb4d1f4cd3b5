"""The check of a machine with an NVIDIA GPU: speed, and results equal to the CPU's; `visdiv perf --gpu`.

Belongs here: the steps of the check, and what runs them one by one within a limit of time. Does not: measurements that
a machine without a GPU answers as well.
"""
