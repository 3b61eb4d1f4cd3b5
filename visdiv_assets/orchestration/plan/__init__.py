"""What `visdiv run` would do, and what that would cost; nothing is run and nothing is changed."""
