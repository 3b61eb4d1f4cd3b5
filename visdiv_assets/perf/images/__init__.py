"""The rehearsal with encoded images: a generated source with planted copies, and a whole run from the pass on.

Belongs here: the drawing of photographs, charts and pages, the source that they make up, and what a run on it shows:
time by stage, candidates and verdicts by kind of image, bytes by product, planted copies found.
"""
