"""The web server of the Dagster UI, which answers requests of its own pages only.

Dagster's server has no login, and runs a mutation that any page of a browser on the same machine sends to it.
"""

#: Separates the names of the server from the arguments of Dagster's command.
END = "--"

#: The page of the server that says where to start.
START = "/start"
