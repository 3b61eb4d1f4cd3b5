"""The rehearsal of FineVision's size: a made-up lake of N images, and every stage that concerns many of them.

The plan of the lake, making it, planting copies in it, finding them again, and what that costs. No image is decoded,
embedded or compared by its pixels here: there are none.
"""
