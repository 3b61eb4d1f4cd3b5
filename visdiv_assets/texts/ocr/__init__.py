"""Text read from images (OCR): the reader, which images it reads, and what their text says about them.

Belongs here: images and texts to findings about text in images. Does not: the lake.
"""
