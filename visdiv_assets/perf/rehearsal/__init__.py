"""The rehearsal at FineVision's size: a synthetic lake of N images, and every stage that handles many images.

Belongs here: the plan of the lake, its creation with planted copies, the check that stages find them, and the cost at
full size. Images are not decoded, embedded or verified here; their rows and vectors are synthetic.
"""
