"""The command `visdiv`: arguments in, text out; one module per command, imported when the command is called."""
