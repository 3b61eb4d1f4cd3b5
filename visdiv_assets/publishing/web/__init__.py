"""What the local web servers of the program share: which requests they answer, and how they run."""
