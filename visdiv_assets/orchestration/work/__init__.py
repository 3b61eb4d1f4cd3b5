"""Units of work that the engines carry: what they are made from, and the function that makes one."""
