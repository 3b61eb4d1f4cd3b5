"""The command `visdiv`: arguments in, text out; one file per command, loaded when it is called."""
