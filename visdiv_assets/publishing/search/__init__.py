"""Search for images by words, by images and by found images, from the terminal and on a page.

Belongs here: finding the images nearest to queries and what is known of them (`finding`), conditions on columns of the
DuckDB file (`conditions`), and the web application of `visdiv search --serve` (`app`; its page, styles and script are
in the folder `template/` of the room). Embedding queries and comparing vectors does not belong here.
"""
