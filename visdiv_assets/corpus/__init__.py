"""Read access, with types, to what the stages wrote: images, vectors and pairs of a set, and where an image lies."""
